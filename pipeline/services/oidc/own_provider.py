"""With whom one's own account is connected at the provider."""

from __future__ import annotations

from pipeline.core.audit import Action
from pipeline.core.tokens import token_sha256
from pipeline.db.accounts import AccountRow
from pipeline.db.engine import transaction
from pipeline.db.identities import Connected, delete_identity, find_identity, lock_account
from pipeline.db.sign_ins import delete_sessions_of
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.oidc.config import config_of
from pipeline.services.system import System


def connected_with(system: System, account: AccountRow) -> Connected | None:
    """Who an account is at the provider that is set; None where there is none, or it is not connected."""
    config = config_of(system.settings)
    if config is None:
        return None
    with transaction(system.engine) as connection:
        return find_identity(connection, account.id, config.issuer)


def disconnect(system: System, account: AccountRow, *, token: str) -> None:
    """Let the provider sign an account in no longer; every other session ends.

    Args:
        token: of the session that goes on.

    Raises:
        NotFound: it is not connected.
        UsageError: nobody could sign in then: the account has no password.
    """
    config = config_of(system.settings)
    with transaction(system.engine) as connection:
        locked = lock_account(connection, account_id=account.id)
        if locked is None or config is None or not delete_identity(connection, account.id, config.issuer):
            raise NotFound("your account is not connected with a provider")
        if not locked.has_password:
            raise UsageError(f"choose a password first; without one only {config.name} can sign you in")
        delete_sessions_of(connection, account.id, but=token_sha256(token))
        note_in_teams(connection, account, Action.PROVIDER_DISCONNECTED, through=config.name)
