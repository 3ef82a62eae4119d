"""Attempts to sign in: each counts as a failed one until it has succeeded, and after a few each doubles the wait."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.tokens import token_sha256
from pipeline.db.engine import transaction
from pipeline.db.sign_ins import block, blocked_s, count_attempt, forget_failures, take_back_attempt
from pipeline.errors import TooManyAttempts
from pipeline.services.system import System

#: Failures that cost nothing; each one more doubles the wait from a second on.
_FREE = {"account": 5, "address": 20}
_LONGEST_WAIT_S = 900.0
_FORGET_S = 3600.0


class Attempt:
    """One attempt to sign in.

    Args:
        account: as what somebody wants to be known: an e-mail address, or a name at a provider.
        address: network address of the caller.
    """

    def __init__(self, system: System, *, account: str | None = None, address: str | None = None) -> None:
        self._system = system
        # Hashed: a list of who could not sign in should not be a list of addresses.
        self._subjects: Mapping[str, str] = {
            kind: f"{kind} {token_sha256(of)}"
            for kind, of in (("account", account), ("address", address))
            if of is not None
        }

    def check(self) -> None:
        """Check that it may be made now, without counting it.

        Raises:
            TooManyAttempts: too many failed before.
        """
        with transaction(self._system.engine) as connection:
            if wait_s := blocked_s(connection, list(self._subjects.values())):
                raise TooManyAttempts(wait_s)

    def begin(self) -> None:
        """Count it as failed, before anything is looked at: so those that come at once count, too.

        Raises:
            TooManyAttempts: too many failed before.
        """
        with transaction(self._system.engine) as connection:
            # Counting locks the rows, so that each attempt sees what those before it have blocked.
            over = {
                subject: count_attempt(connection, subject, _FORGET_S) - _FREE[kind]
                for kind, subject in self._subjects.items()
            }
            if wait_s := blocked_s(connection, list(over)):
                raise TooManyAttempts(wait_s)
            for subject, failures in over.items():
                if failures > 0:
                    block(connection, subject, min(2.0 ** (failures - 1), _LONGEST_WAIT_S))

    def take_back(self) -> None:
        """It did not fail: forget it, and what failed for this account before."""
        with transaction(self._system.engine) as connection:
            if "account" in self._subjects:
                forget_failures(connection, self._subjects["account"])
            if "address" in self._subjects:
                take_back_attempt(connection, self._subjects["address"], _FREE["address"])
