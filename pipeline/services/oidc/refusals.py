"""Why a provider's answer leads nowhere."""

from __future__ import annotations

import re


class Refused(Exception):
    """The provider gave no token.

    Args:
        error: as RFC 6749 calls it, such as `invalid_grant`.
    """

    def __init__(self, error: object = "", description: object = None) -> None:  # noqa: ARG002  Authlib gives it
        super().__init__(str(error))
        self.error = plain_code(error)


class NotBelieved(Exception):
    """An ID token that must not be believed.

    Args:
        reason: which check it failed, in words for the log.
        other_keys: whether the provider's keys may have changed since they were read.
    """

    def __init__(self, reason: str, *, other_keys: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.other_keys = other_keys


def plain_code(error: object) -> str:
    """The code of an error that a provider or a browser names, safe to be shown."""
    return text if re.fullmatch(r"[\w.-]{1,60}", text := str(error)) else "no reason given"
