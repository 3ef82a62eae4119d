"""E-mail addresses and names as people give them."""

from __future__ import annotations

import re

from pipeline.errors import UsageError

_LONGEST_EMAIL = 320
_LONGEST_NAME = 100


def check_email(given: str) -> str:
    """An e-mail address as it is kept: in small letters. Whether it exists only its owner can tell.

    Raises:
        UsageError: it is none.
    """
    email = given.strip().lower()
    if len(email) > _LONGEST_EMAIL or not re.fullmatch(r"[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+", email):
        raise UsageError("this is no e-mail address; write name@example.org")
    return email


def check_name(given: str, what: str = "name") -> str:
    """A name as it is kept: on one line, without control characters.

    Raises:
        UsageError: it is empty or too long.
    """
    name = " ".join(given.split())
    if not name or not name.isprintable():
        raise UsageError(f"the {what} is empty or has characters that cannot be shown; give another")
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"the {what} is longer than {_LONGEST_NAME} characters; give a shorter one")
    return name
