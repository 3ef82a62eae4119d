"""What a decoder child gives up before it touches a byte of an upload.

Order matters: what needs privilege first, then the limits, then the privilege itself, then the calls that all this
takes. Everything beyond rlimits is best effort, since kernels and containers differ; a wall that is missing leaves the
others standing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

from pipeline.core.video_limits import VideoLimits
from pipeline.video import kernel_filters

# Linux: include/uapi/linux/prctl.h and sched.h
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
NOBODY = 65534

# FFmpeg decodes some frames of each stream to tell what it is, and parses the header, before the first packet.
OPENING_FRAMES = 6

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the thread that started this process ends (Linux), and now if it already did."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def address_space_bytes() -> int:
    """This process's address space now; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def lock_down(limits: VideoLimits, zygote_pid: int, base_bytes: int, open_fds: int) -> None:
    """Give everything up. The caller has opened and mapped all that it will ever need.

    With `open_fds` the limit of open files is what is open already, so that a playlist in disguise, or any other
    code in the decoder that wants a file or a socket, gets none even on kernels without namespaces.
    """
    as_root = os.geteuid() == 0
    if sys.platform == "linux":
        # No interface is up in a fresh network namespace, not even loopback.
        _libc.unshare(CLONE_NEWNET if as_root else CLONE_NEWUSER | CLONE_NEWNET)
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 5)  # first SIGXCPU, which says why, then SIGKILL
    grant_cpu(limits, frames=OPENING_FRAMES)
    if base_bytes:
        _limit(resource.RLIMIT_AS, base_bytes + limits.memory_bytes)
    if as_root:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    _limit(resource.RLIMIT_NPROC, 0)
    kernel_filters.shut_out_files()  # takes a descriptor for a moment
    _limit(resource.RLIMIT_NOFILE, open_fds)
    die_with_parent(zygote_pid)  # after the change of user, which clears it
    kernel_filters.shut_out_calls()


def grant_cpu(limits: VideoLimits, *, frames: int = 1) -> None:
    """Start a new packet or frame: so much processor time from now on, or be ended by SIGPROF. Child side only.

    A timer and not RLIMIT_CPU, which counts in whole seconds, and from a clock that nobody can read. Costs about a
    microsecond.
    """
    signal.setitimer(signal.ITIMER_PROF, frames * limits.max_cpu_s_per_frame)


def _limit(what: int, value: int, hard: int | None = None) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (value, value if hard is None else hard))
