"""Passwords as argon2id, with the parameters of RFC 9106 for little memory: 64 MiB, about 50 ms."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pipeline.errors import ServiceUnavailable, UsageError

#: NIST SP 800-63B: length is what counts.
_SHORTEST = 10
#: Hashing a longer one would be a way to keep the server busy.
_LONGEST = 1024

_HASHER = PasswordHasher()
#: Each takes 64 MiB and a processor, and whoever waits takes a thread from all other requests.
_hashing, _here = threading.BoundedSemaphore(2), threading.BoundedSemaphore(8)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for the turn to hash.

    Raises:
        ServiceUnavailable: too many wait already.
    """
    if not _here.acquire(blocking=False):
        raise ServiceUnavailable("too many passwords are being checked; try again in a moment")
    try:
        with _hashing:
            yield
    finally:
        _here.release()


@cache
def _nobody() -> str:
    """Compared with where there is no account, so that an answer takes as long."""
    return _HASHER.hash("")


def check_password(password: str) -> None:
    """Check that a new password is fit to be one.

    Raises:
        UsageError: it is too short or too long.
    """
    if len(password) < _SHORTEST:
        raise UsageError(f"a password has at least {_SHORTEST} characters; a few words make a good one")
    if len(password) > _LONGEST:
        raise UsageError(f"a password has at most {_LONGEST} characters; choose a shorter one")


def hash_password(password: str) -> str:
    """What is kept of a password.

    Raises:
        UsageError: it is too short or too long.
        ServiceUnavailable: too many passwords come at once.
    """
    check_password(password)
    with _turn():
        return _HASHER.hash(password)


def is_right(password: str, kept: str | None) -> bool:
    """Whether this is the password that was kept; takes as long where none is.

    Raises:
        ServiceUnavailable: too many passwords come at once.
    """
    if len(password) > _LONGEST:
        return False
    try:
        with _turn():
            return _HASHER.verify(kept or _nobody(), password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(kept: str) -> bool:
    """Whether it was hashed with weaker parameters than are used now."""
    return _HASHER.check_needs_rehash(kept)
