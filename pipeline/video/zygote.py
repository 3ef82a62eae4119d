"""The process that decoder children are forked from: libraries are loaded, and it has no secrets and no threads.

Importing numpy, OpenCV and PyAV takes 0.35 s, forking a process that has them some milliseconds. The worker itself must
not fork: it has threads, model sessions and credentials.

Per job the control socket brings one byte and four descriptors: the job channel, the byte channel, the status channel,
stderr; and for a decode a fifth, the frame pool, for a probe at times the copy of the video. On the status channel the
zygote sends the child's pid and, after its end, its wait status; the parent sends the bytes that have it stop and go on
(`wire.STOP`, `wire.GO_ON`), and with any other, or by closing it, has it killed. When the control socket closes, the
zygote and its children end.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import select
import signal
import socket
import sys
from dataclasses import dataclass

import cv2

from pipeline.video import child, wire
from pipeline.video.lockdown import die_with_parent

MAX_JOB_FDS = 5
FORK_FAILED = -1
_SIGNALS = {wire.STOP: signal.SIGSTOP, wire.GO_ON: signal.SIGCONT}


@dataclass(frozen=True)
class _Child:
    pid: int
    status: socket.socket


def main(control_fd: int, parent_pid: int) -> None:
    """Serve jobs until the control socket closes: the main function of the process."""
    die_with_parent(parent_pid)
    cv2.setNumThreads(1)
    child.warm_up()
    gc.freeze()  # a garbage collection in a child would copy every page it touches
    control = socket.socket(fileno=control_fd)
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    os.set_blocking(wake_r, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    jobs: dict[int, _Child] = {}  # by pid
    watched: dict[int, int] = {}  # status fd -> pid
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_r, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wake_r:
                os.read(wake_r, 4096)
                _reap(jobs, watched, poll)
            elif fd == control.fileno():
                message, fds, _, _ = socket.recv_fds(control, 1, MAX_JOB_FDS)
                if not message:
                    for job in jobs.values():
                        os.kill(job.pid, signal.SIGKILL)
                    return
                started = _start(fds)
                if started:
                    jobs[started.pid] = started
                    watched[started.status.fileno()] = started.pid
                    poll.register(started.status, select.POLLIN)
            elif fd in watched:
                number = _SIGNALS.get(_read_byte(fd), signal.SIGKILL)
                os.kill(watched[fd], number)  # not reaped yet, so the pid is still its own
                if number == signal.SIGKILL:
                    poll.unregister(fd)
                    del watched[fd]


def _read_byte(fd: int) -> bytes:
    try:
        return os.read(fd, 1)
    except OSError:
        return b""


def _start(fds: list[int]) -> _Child | None:
    job_fd, byte_fd, status_fd, stderr_fd, *pool = fds
    zygote_pid = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        pid = FORK_FAILED
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _arrange_fds([job_fd, byte_fd, *pool], stderr_fd)
            child.main(zygote_pid)
        finally:
            os._exit(1)
    for fd in (job_fd, byte_fd, stderr_fd, *pool):
        os.close(fd)
    status = socket.socket(fileno=status_fd)
    try:
        status.sendall(wire.STATUS.pack(pid))
    except OSError:
        if pid != FORK_FAILED:
            os.kill(pid, signal.SIGKILL)
    if pid == FORK_FAILED:
        status.close()
        return None
    return _Child(pid, status)


def _arrange_fds(kept: list[int], stderr_fd: int) -> None:
    """Make `kept` the descriptors 3, 4, ..., make `stderr_fd` stdout and stderr, and close all others but stdin."""
    wanted = [stderr_fd, stderr_fd, *kept]
    # First move them out of the target range, then into place.
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 3 + len(wanted)) for fd in wanted]
    for target, fd in enumerate(copies, start=1):
        os.dup2(fd, target)
    os.closerange(1 + len(copies), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _reap(jobs: dict[int, _Child], watched: dict[int, int], poll: select.poll) -> None:
    while jobs:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        job = jobs.pop(pid)
        if watched.pop(job.status.fileno(), None):
            poll.unregister(job.status)
        try:
            job.status.sendall(wire.STATUS.pack(status))
        except OSError:
            pass  # the parent has closed the channel
        finally:
            job.status.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
