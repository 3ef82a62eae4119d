"""Invite people into a team."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.link_kind import LinkKind
from pipeline.core.roles import Role
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.engine import transaction
from pipeline.db.one_time_links import LinkRow, delete_done_links, delete_invitation, insert_link, select_invitations
from pipeline.errors import NotFound
from pipeline.services.accounts.audit import note
from pipeline.services.accounts.callers import Caller
from pipeline.services.accounts.names import check_email
from pipeline.services.system import System


def invite(
    system: System, caller: Caller, team_id: UUID, *, role: Role, email: str | None, base: str
) -> tuple[LinkRow, str]:
    """Invite somebody. Returns the invitation, and the link to send, which is shown this once.

    Args:
        email: for whom it is, so that a list of invitations says it; None for whoever has the link.
        base: the pages' address.
    """
    email = None if email is None else check_email(email)
    token = new_token()
    maker = None if caller.account is None else caller.account.id
    with transaction(system.engine) as connection:
        delete_done_links(connection)
        link_id = insert_link(
            connection,
            token_sha256(token),
            LinkKind.INVITATION,
            team_id=team_id,
            role=role,
            email=email,
            created_by=maker,
        )
        note(connection, caller, Action.INVITED, team_id=team_id, subject=email or "", role=str(role))
        made = next(link for link in select_invitations(connection, team_id) if link.id == link_id)
    return made, f"{base}/link/{token}"


def list_invitations(system: System, team_id: UUID) -> Sequence[LinkRow]:
    """The invitations of a team that wait, the newest first."""
    with transaction(system.engine) as connection:
        return select_invitations(connection, team_id)


def withdraw(system: System, caller: Caller, team_id: UUID, invitation_id: UUID) -> None:
    """Take an invitation back.

    Raises:
        NotFound: there is none that waits.
    """
    with transaction(system.engine) as connection:
        email = delete_invitation(connection, team_id, invitation_id)
        if email is None:
            raise NotFound("there is no such invitation; it may have been accepted meanwhile")
        note(connection, caller, Action.INVITATION_WITHDRAWN, team_id=team_id, subject=email)
