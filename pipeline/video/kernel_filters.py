"""What the kernel itself refuses a decoder child, even one whose code an upload has taken over. Linux, best effort.

Landlock takes away the file system, TCP and signals to others. Seccomp takes away the calls that a decoder has no use
for: they fail with EPERM, so that a library which tries one for convenience goes on without. Both are for good, and
need no privilege once `PR_SET_NO_NEW_PRIVS` is set.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)

# include/uapi/linux/landlock.h: rights by the first kernel ABI that knows them. The numbers of its calls are the same
# on every machine.
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
_X32 = 0x40000000  # a second table of calls on x86_64

# Numbers from arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. Files first, then sockets,
# processes, and the kernel's own workings.
_REFUSED = {
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
        msgctl 71, semtimedop 220, mq_open 240""",
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
        msgsnd 189, semget 190, semctl 191, semtimedop 192, semop 193, shmget 194, shmctl 195, shmat 196""",
}
_REFUSED_EVERYWHERE = """
        pidfd_send_signal 424, io_uring_setup 425, io_uring_enter 426, io_uring_register 427, open_tree 428,
        move_mount 429, fsopen 430, pidfd_open 434, openat2 437, pidfd_getfd 438, process_madvise 440, fchmodat2 452"""
_ON_ITSELF_ONLY = {
    "x86_64": "kill 62, tkill 200, tgkill 234, prlimit64 302",
    "aarch64": "kill 129, tkill 130, tgkill 131, prlimit64 261",
}
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE3 = 435  # "no such call" sends the C library back to `clone`


def landlock_abi() -> int:
    """Which version of Landlock the kernel has; less than 1 without."""
    if sys.platform != "linux":
        return 0
    return int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_RULESET_VERSION)))


def shut_out_files() -> bool:
    """Let this process open, make, rename or run no file any more, whatever descriptors it has free.

    Returns whether the kernel can.
    """
    abi = landlock_abi()
    if abi < 1:
        return False
    handled = [sum(rights for since, rights in table if since <= abi) for table in (_FILE_RIGHTS, _TCP_RIGHTS, _SCOPES)]
    attributes = struct.pack("=3Q", *handled)
    # Kernels refuse what they do not know, unless it is zero.
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    try:
        return bool(_libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0)
    finally:
        os.close(ruleset)


def shut_out_calls() -> bool:
    """Have the kernel refuse what a decoder has no use for. Returns whether it can."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    program = _filter(os.getpid(), platform.machine())
    code = ctypes.create_string_buffer(program, len(program))
    sock_fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, sock_fprog, 0, 0) == 0)


def _filter(own_pid: int, machine: str) -> bytes:
    """Classic BPF over `struct seccomp_data`: eight bytes an instruction."""
    fail = _FAIL | errno.EPERM
    code = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_IF_EQUAL, 1, 0, _MACHINES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, fail),
        (_IF_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    for number in _numbers(f"{_REFUSED[machine]}, {_REFUSED_EVERYWHERE}"):
        code += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, fail)]
    for number in _numbers(_ON_ITSELF_ONLY[machine]):
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
