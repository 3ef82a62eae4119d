"""Kernel filters that hold even for a compromised decoder child. Linux, best effort.

Landlock denies the file system, TCP and signals to other processes. Seccomp denies the system calls that a decoder does
not need: they fail with EPERM, so that a library that tries one as an optimisation goes on without. Neither can be
undone, and neither needs a privilege once `PR_SET_NO_NEW_PRIVS` is set.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)

# include/uapi/linux/landlock.h: rights by the first Landlock ABI that has them. Its system call numbers are the same on
# every architecture.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_RULESET_VERSION = 1
_FILE_RIGHTS = ((1, 0x1FFF), (2, 0x2000), (3, 0x4000), (5, 0x8000))
_TCP_RIGHTS = ((4, 0x3),)
_SCOPES = ((6, 0x3),)  # abstract sockets, signals

# include/uapi/linux/seccomp.h, audit.h, filter.h, prctl.h
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AT_NUMBER, _AT_MACHINE, _AT_FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000  # the x32 system call table of x86_64

# Numbers from arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. Files first, then sockets,
# processes, kernel administration, IPC.
_DENIED = {
    "x86_64": """
        open 2, openat 257, creat 85, open_by_handle_at 304, truncate 76, mkdir 83, mkdirat 258, rmdir 84, unlink 87,
        unlinkat 263, rename 82, renameat 264, renameat2 316, link 86, linkat 265, symlink 88, symlinkat 266, mknod 133,
        mknodat 259, chmod 90, fchmodat 268, chown 92, lchown 94, fchownat 260, utime 132, utimes 235, utimensat 280,
        setxattr 188, lsetxattr 189, removexattr 197, mount 165, chroot 161, pivot_root 155, inotify_init1 294,
        socket 41, socketpair 53, connect 42, bind 49, listen 50, accept 43, accept4 288, sendmsg 46, sendmmsg 307,
        clone 56, fork 57, vfork 58, execve 59, execveat 322, ptrace 101, process_vm_readv 310, process_vm_writev 311,
        kcmp 312, unshare 272, setns 308, setpriority 141, sched_setparam 142, sched_setscheduler 144,
        sched_setaffinity 203, sched_setattr 314, ioprio_set 251, migrate_pages 256, move_pages 279,
        rt_sigqueueinfo 129, rt_tgsigqueueinfo 297, init_module 175, finit_module 313, perf_event_open 298,
        fanotify_init 300, seccomp 317, memfd_create 319, bpf 321, userfaultfd 323, add_key 248, request_key 249,
        keyctl 250, shmget 29, shmat 30, shmctl 31, semget 64, semop 65, semctl 66, msgget 68, msgsnd 69, msgrcv 70,
        msgctl 71, semtimedop 220, mq_open 240, fchmod 91, fchown 93, fsetxattr 190, fremovexattr 199""",
    "aarch64": """
        openat 56, open_by_handle_at 265, truncate 45, mkdirat 34, unlinkat 35, renameat 38, renameat2 276, linkat 37,
        symlinkat 36, mknodat 33, fchmodat 53, fchownat 54, utimensat 88, setxattr 5, lsetxattr 6, removexattr 14,
        mount 40, chroot 51, pivot_root 41, inotify_init1 26, socket 198, socketpair 199, connect 203, bind 200,
        listen 201, accept 202, accept4 242, sendmsg 211, sendmmsg 269, clone 220, execve 221, execveat 281,
        ptrace 117, process_vm_readv 270, process_vm_writev 271, kcmp 272, unshare 97, setns 268, setpriority 140,
        sched_setparam 118, sched_setscheduler 119, sched_setaffinity 122, sched_setattr 274, ioprio_set 30,
        migrate_pages 238, move_pages 239, rt_sigqueueinfo 138, rt_tgsigqueueinfo 240, init_module 105,
        finit_module 273, perf_event_open 241, fanotify_init 262, seccomp 277, memfd_create 279, bpf 280,
        userfaultfd 282, add_key 217, request_key 218, keyctl 219, mq_open 180, msgget 186, msgctl 187, msgrcv 188,
        msgsnd 189, semget 190, semctl 191, semtimedop 192, semop 193, shmget 194, shmctl 195, shmat 196,
        fchmod 52, fchown 55, fsetxattr 7, fremovexattr 16""",
}
_DENIED_EVERYWHERE = """
        pidfd_send_signal 424, io_uring_setup 425, io_uring_enter 426, io_uring_register 427, open_tree 428,
        move_mount 429, fsopen 430, pidfd_open 434, openat2 437, pidfd_getfd 438, process_madvise 440, fchmodat2 452"""
_OWN_PID_ONLY = {
    "x86_64": "kill 62, tkill 200, tgkill 234, prlimit64 302",
    "aarch64": "kill 129, tkill 130, tgkill 131, prlimit64 261",
}
_AUDIT_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE3 = 435  # ENOSYS makes the C library fall back to `clone`


def landlock_abi() -> int:
    """The kernel's Landlock ABI version; less than 1 without Landlock."""
    if sys.platform != "linux":
        return 0
    return int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_RULESET_VERSION)))


def deny_files() -> bool:
    """Deny this process to open, create, rename or execute files. Returns whether the kernel supports it."""
    abi = landlock_abi()
    if abi < 1:
        return False
    handled = [sum(rights for since, rights in table if since <= abi) for table in (_FILE_RIGHTS, _TCP_RIGHTS, _SCOPES)]
    attributes = struct.pack("=3Q", *handled)
    # Older kernels accept a longer structure if what they do not know is zero.
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    try:
        return bool(_libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0)
    finally:
        os.close(ruleset)


def deny_syscalls() -> bool:
    """Deny the system calls that a decoder does not need. Returns whether the kernel supports it."""
    if sys.platform != "linux" or platform.machine() not in _AUDIT_ARCHES:
        return False
    program = _filter(os.getpid(), platform.machine())
    code = ctypes.create_string_buffer(program, len(program))
    sock_fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, sock_fprog, 0, 0) == 0)


def _filter(own_pid: int, machine: str) -> bytes:
    """Build the seccomp filter: classic BPF over `struct seccomp_data`, eight bytes an instruction."""
    fail = _FAIL | errno.EPERM
    code = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCHES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, fail),
        (_IF_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in _numbers(f"{_DENIED[machine]}, {_DENIED_EVERYWHERE}"):
        code += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, fail)]
    for number in _numbers(_OWN_PID_ONLY[machine]):
        code += [
            (_IF_EQUAL, 0, 5, number),
            (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
            (_IF_EQUAL, 1, 0, 0),
            (_IF_EQUAL, 0, 1, own_pid),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, fail),
        ]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _numbers(calls: str) -> list[int]:
    return [int(call.split()[1]) for call in calls.split(",")]
