"""Sign-ins that fail: each is counted, and after a few each one more doubles the wait."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.audit import Action
from pipeline.core.tokens import token_sha256
from pipeline.db.accounts import AccountRow
from pipeline.db.engine import transaction
from pipeline.db.sign_ins import block, blocked_s, forget_failures, note_failure
from pipeline.errors import TooManyAttempts
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.system import System

#: How many cost nothing; each one more doubles the wait from a second on.
_FREE = {"account": 5, "address": 20}
_LONGEST_WAIT_S = 900.0
_FORGET_S = 3600.0


class Attempt:
    """One try to sign in.

    Args:
        account: as what somebody wants to be known: an e-mail address, or a name at a provider.
        address: network address of the caller.
    """

    def __init__(self, system: System, *, account: str | None = None, address: str) -> None:
        self._system = system
        # Hashed: a list of who could not sign in should not be a list of addresses.
        self._subjects: Mapping[str, str] = {
            kind: f"{kind} {token_sha256(of)}"
            for kind, of in (("account", account), ("address", address))
            if of is not None
        }

    def check(self) -> None:
        """Check that it may be tried now.

        Raises:
            TooManyAttempts: too many failed before.
        """
        with transaction(self._system.engine) as connection:
            if wait_s := blocked_s(connection, list(self._subjects.values())):
                raise TooManyAttempts(wait_s)

    def failed(self, account: AccountRow | None = None, **detail: str) -> None:
        """Count that it failed; in the log of the teams of the account that it was about."""
        with transaction(self._system.engine) as connection:
            for kind, subject in self._subjects.items():
                over = note_failure(connection, subject, _FORGET_S) - _FREE[kind]
                if over > 0:
                    block(connection, subject, min(2.0 ** (over - 1), _LONGEST_WAIT_S))
            if account is not None:
                note_in_teams(connection, account, Action.SIGN_IN_FAILED, **detail)

    def succeeded(self) -> None:
        """Forget what failed for this account before."""
        if "account" in self._subjects:
            with transaction(self._system.engine) as connection:
                forget_failures(connection, self._subjects["account"])
