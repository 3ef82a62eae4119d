"""The lockdown of a decoder child, before it reads a byte of an upload.

Order matters: first what needs privileges, then the limits, then the privileges themselves, then the system calls that
all this takes. Everything beyond rlimits is best effort, since kernels and containers differ: what the kernel lacks is
skipped.
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
NOBODY_UID = 65534

# Before the first packet FFmpeg parses the header, and decodes some frames of each stream to identify it.
OPENING_FRAMES = 6

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent_pid: int) -> None:
    """Have this process killed when the thread that started it ends (Linux); exit now if it already did."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def address_space_bytes() -> int:
    """This process's current address space; 0 where the system has no `/proc/self/statm`."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def lock_down(limits: VideoLimits, zygote_pid: int, base_bytes: int, open_fds: int) -> None:
    """Drop all rights and set all limits. The caller has opened and mapped everything that it needs.

    Args:
        open_fds: how many descriptors are open, which becomes their limit: no file or socket can be opened even on
            kernels without namespaces.
    """
    as_root = os.geteuid() == 0
    if sys.platform == "linux":
        # In a new network namespace no interface is up, not even loopback.
        _libc.unshare(CLONE_NEWNET if as_root else CLONE_NEWUSER | CLONE_NEWNET)
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 5)  # first SIGXCPU, which gives the reason, then SIGKILL
    grant_cpu(limits, frames=OPENING_FRAMES)
    if base_bytes:
        _limit(resource.RLIMIT_AS, base_bytes + limits.memory_bytes)
    if as_root:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(NOBODY_UID)
            os.setuid(NOBODY_UID)
    _limit(resource.RLIMIT_NPROC, 0)
    kernel_filters.deny_files()  # needs a free descriptor
    _limit(resource.RLIMIT_NOFILE, open_fds)
    die_with_parent(zygote_pid)  # after the change of user, which clears it
    kernel_filters.deny_syscalls()


def grant_cpu(limits: VideoLimits, *, frames: int = 1) -> None:
    """Start the CPU time limit of a packet or frame again; SIGPROF ends the child at the limit. Child side only.

    A timer, since RLIMIT_CPU counts in whole seconds. Setting it takes about a microsecond.
    """
    signal.setitimer(signal.ITIMER_PROF, frames * limits.max_cpu_s_per_frame)


def _limit(what: int, value: int, hard: int | None = None) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(what, (value, value if hard is None else hard))
