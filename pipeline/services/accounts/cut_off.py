"""End every way into an account but the one that was chosen just now."""

from __future__ import annotations

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.db.accounts import AccountRow
from pipeline.db.identities import delete_identities, forget_other_ways_in
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.oidc.config import OidcConfig


def cut_off(
    connection: Connection, config: OidcConfig | None, account: AccountRow, *, keep: tuple[str, str] | None = None
) -> None:
    """End the sessions of an account and its links that were not used, and disconnect it from every provider.

    Keys and links to a video are their team's, and stay.

    Args:
        config: of the provider that is set.
        keep: issuer and subject as whom it may still come in.
    """
    forget_other_ways_in(connection, account.id)
    disconnect_all(connection, config, account, keep=keep)


def disconnect_all(
    connection: Connection, config: OidcConfig | None, account: AccountRow, *, keep: tuple[str, str] | None = None
) -> None:
    """Disconnect an account from every provider, also from one that is not set any more; the arguments as above."""
    for issuer in delete_identities(connection, account.id, but=keep):
        through = config.name if config is not None and config.issuer == issuer else issuer
        note_in_teams(connection, account, Action.PROVIDER_DISCONNECTED, through=through)
