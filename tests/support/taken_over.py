"""A zygote whose children run what the "video" says, and what is left of them."""

from __future__ import annotations

import os
import threading

import psutil

from pipeline.video import zygote_client

#: The child as it is, but for a decoder that does what the file says, and walls that a test takes away.
BOOT = """
import json, sys
sys.path[:0] = [p for p in json.loads(sys.argv[1]) if p not in sys.path]
import ctypes, errno, os, resource, signal, socket, time
from pipeline.video import child, lockdown, kernel_filters, wire
from pipeline.video.zygote import main
for kernel_filter in DISABLED_FILTERS:
    setattr(kernel_filters, kernel_filter, lambda: False)

def taken_over(honest):
    def decode(job, file, limits, *rest):  # for a decode `limits` is the request
        code = file.read()
        file.seek(0)
        if not code.startswith(b"# taken over"):
            return honest(job, file, limits, *rest)
        def tell(*facts):
            wire.send(job, wire.RecordKind.FAIL, repr(facts).encode())
        def refused(call, *args):
            try:
                call(*args)
            except OSError as error:
                return errno.errorcode[error.errno]
            return "done"
        exec(compile(code, "upload", "exec"), globals() | locals())
    return decode

child.send_index = taken_over(child.send_index)
child.send_frames = taken_over(child.send_frames)
main(int(sys.argv[2]), int(sys.argv[3]))
"""
#: Of a zygote: the three standard ones, the control socket, and a pipe that signals wake it by.
IDLE_FDS = 6


def what_is_left(zygote: zygote_client.Zygote) -> tuple[int, int, int, list[psutil.Process]]:
    for thread in threading.enumerate():
        if thread.name == "video-bytes":
            thread.join(10)
    process = psutil.Process(zygote.pid)
    return len(os.listdir("/dev/fd")), threading.active_count(), process.num_fds(), process.children(recursive=True)


def settled(zygote: zygote_client.Zygote) -> tuple[int, int, int, list[psutil.Process]]:
    """What is left once the zygote has closed what belonged to the last child."""
    for _ in range(100):
        left = what_is_left(zygote)
        if left == what_is_left(zygote) and left[2] == IDLE_FDS:
            return left
        threading.Event().wait(0.005)
    raise AssertionError(f"the zygote holds {left[2]} descriptors")
