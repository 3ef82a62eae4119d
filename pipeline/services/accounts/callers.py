"""Who makes a request: an account, a key, somebody with a share's link, or nobody that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pipeline.core.tokens import token_sha256
from pipeline.db.accounts import AccountRow, TeamOf, select_teams_of
from pipeline.db.engine import transaction
from pipeline.db.sign_ins import KeyRow, SharedVideo, find_key, find_session_account, find_session_share
from pipeline.services.system import System

#: A session ends when it was not used for so long.
SESSION_S = 30 * 86_400.0
KEY_MARK = "psl_"


@dataclass(frozen=True)
class Caller:
    """Who makes a request: an account or a key, or neither.

    Args:
        shared: the video whose link was opened in this browser.
        teams: whose member it is.
    """

    account: AccountRow | None = None
    key: KeyRow | None = None
    shared: SharedVideo | None = None
    teams: Sequence[TeamOf] = ()

    @property
    def known(self) -> bool:
        """Whether it is an account or a key."""
        return self.account is not None or self.key is not None

    @property
    def name(self) -> str:
        """What the audit log calls it."""
        if self.account is not None:
            return self.account.email
        if self.key is not None:
            return f"key {self.key.name}"
        return "share link" if self.shared is not None else "nobody"

    def team(self, team_id: UUID) -> TeamOf | None:
        """The team of that id, if it is one of the caller's."""
        return next((team for team in self.teams if team.id == team_id), None)


def caller_of_key(system: System, secret: str) -> Caller:
    """Who sends this key: nobody, where it is none, or no longer."""
    with transaction(system.engine) as connection:
        key = find_key(connection, token_sha256(secret)) if secret.startswith(KEY_MARK) else None
    return Caller() if key is None else Caller(key=key, teams=(key.team,))


def caller_of_session(system: System, token: str | None, share_token: str | None = None) -> Caller:
    """Whose browser sends these tokens: nobody's, where they are none, or the sessions are over."""
    with transaction(system.engine) as connection:
        account = None if token is None else find_session_account(connection, token_sha256(token), SESSION_S)
        shared = None if share_token is None else find_session_share(connection, token_sha256(share_token))
        teams = () if account is None else select_teams_of(connection, account.id)
    return Caller(account=account, shared=shared, teams=teams)
