"""Run as the user `nobody` what must not run as root: Postgres and initdb.

The data may be below a directory that only root can enter, whose mode must not change. So the command keeps one
capability: to search and read directories in spite of permissions. `python rootless.py COMMAND...`, started as root,
replaces itself by the command. It imports only the standard library and is run as a file, so that neither `PYTHONPATH`
nor a site package adds code that runs as root.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

# linux/capability.h, linux/prctl.h, linux/securebits.h
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS = 1, 8, 28, 38
_PR_CAPBSET_READ, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 23, 47, 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2

EXIT_IMPOSSIBLE = 78

_libc = ctypes.CDLL(None, use_errno=True)


def needed() -> bool:
    return os.geteuid() == 0


def wrapped(argv: list[str]) -> list[str]:
    """The command, run through this file if we are root."""
    return [sys.executable, "-I", "-S", __file__, *argv] if needed() else argv


def user() -> tuple[int, int]:
    """The uid and gid that Postgres runs as under root."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return 65534, 65534
    return nobody.pw_uid, nobody.pw_gid


def die_with_parent(number: int) -> None:
    """Have the kernel send a signal when the thread that started this process ends. Linux only; else nothing."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _prctl(*arguments: int) -> int:
    result: int = _libc.prctl(*(ctypes.c_ulong(a) for a in (*arguments, *[0] * (5 - len(arguments)))))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _set_capability(capability: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = 1 << capability
    # Two triples of effective, permitted, inheritable; the second is for capabilities from 32 on.
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if _libc.capset(header, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become_nobody() -> None:
    """Become `nobody` for good, keeping one capability across exec.

    Raises:
        OSError: it is not permitted here.
    """
    uid, gid = user()
    capability = _CAP_DAC_READ_SEARCH if _prctl(_PR_CAPBSET_READ, _CAP_DAC_READ_SEARCH) == 1 else _CAP_DAC_OVERRIDE
    try:
        # initdb calls access(2), which ignores the capability without this bit.
        _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    except OSError:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _set_capability(capability)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def main() -> None:
    try:
        become_nobody()
    except (OSError, AttributeError) as error:
        sys.stderr.write(f"root cannot start Postgres as another user on this machine ({error})\n")
        raise SystemExit(EXIT_IMPOSSIBLE) from error
    # Changing the user cleared the parent-death signal.
    die_with_parent(signal.SIGINT)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
