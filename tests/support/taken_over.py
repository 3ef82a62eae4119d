"""A zygote whose children execute the "video" as Python, and a check of what they leave behind."""

from __future__ import annotations

import os
import threading

import psutil

from pipeline.video import zygote_client

#: The usual child, except that it executes such a file, and that a test can disable kernel filters.
BOOT = """
import json, sys
sys.path[:0] = [p for p in json.loads(sys.argv[1]) if p not in sys.path]
import ctypes, errno, os, resource, signal, socket, time
from pipeline.video import child, lockdown, kernel_filters, wire
from pipeline.video.zygote import main
for kernel_filter in DISABLED_FILTERS:
    setattr(kernel_filters, kernel_filter, lambda: False)
if "unshare" in DISABLED_FILTERS:  # as where an engine of containers refuses namespaces
    class WithoutNamespaces:
        def __getattr__(self, name, libc=lockdown._libc):
            return (lambda *_: -1) if name == "unshare" else getattr(libc, name)
    lockdown._libc = WithoutNamespaces()

def taken_over(honest):
    def decode(job, file, request, *rest):
        code = file.read()
        file.seek(0)
        if not code.startswith(b"# taken over"):
            return honest(job, file, request, *rest)
        def tell(*values):
            wire.send(job, wire.RecordKind.FAIL, repr(values).encode())
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
child.send_sound = taken_over(child.send_sound)
main(int(sys.argv[2]), int(sys.argv[3]))
"""
#: Of an idle zygote: the three standard ones, the control socket, and the two ends of its wake-up pipe.
IDLE_FDS = 6


def what_is_left(zygote: zygote_client.Zygote) -> tuple[int, int, int, list[psutil.Process]]:
    for thread in threading.enumerate():
        if thread.name == "video-bytes":
            thread.join(10)
    process = psutil.Process(zygote.pid)
    return len(os.listdir("/dev/fd")), threading.active_count(), process.num_fds(), process.children(recursive=True)


def settled(zygote: zygote_client.Zygote) -> tuple[int, int, int, list[psutil.Process]]:
    """What is left once the zygote has closed the last child's descriptors."""
    for _ in range(100):
        left = what_is_left(zygote)
        if left == what_is_left(zygote) and left[2] == IDLE_FDS:
            return left
        threading.Event().wait(0.005)
    raise AssertionError(f"the zygote holds {left[2]} descriptors")
