"""What people change about their own account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.tokens import token_sha256
from pipeline.db.account_changes import set_email, set_name
from pipeline.db.accounts import AccountRow, find_account, select_account, set_password
from pipeline.db.engine import transaction
from pipeline.db.identities import forget_other_ways_in, is_confirmed
from pipeline.db.sign_ins import SessionRow, delete_session_of, select_sessions
from pipeline.errors import NotConfirmed, NotFound, UsageError
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.accounts.cut_off import disconnect_all
from pipeline.services.accounts.names import check_email, check_name
from pipeline.services.accounts.passwords import hash_password
from pipeline.services.accounts.sign_in import check_own_password
from pipeline.services.oidc.config import config_of, provider_name
from pipeline.services.oidc.own_provider import connected_with
from pipeline.services.system import System


@dataclass(frozen=True)
class Shown:
    """By what somebody shows that an account is theirs.

    Args:
        password: theirs so far; not looked at where there is none.
        confirmation: which they have of a sign-in with the provider; likewise.
        address: network address, whose wrong passwords are counted.
    """

    password: str = ""
    confirmation: str = ""
    address: str = ""


def has_password(system: System, account: AccountRow) -> bool:
    """Whether an account can sign in with a password."""
    with transaction(system.engine) as connection:
        found = find_account(connection, account.email)
    return found is not None and found[1] is not None


def reread(system: System, account: AccountRow) -> AccountRow:
    """An account as it is now."""
    with transaction(system.engine) as connection:
        return select_account(connection, account.id) or account


def rename(system: System, account: AccountRow, name: str) -> None:
    """Change one's own name.

    Raises:
        UsageError: it is empty or too long.
    """
    with transaction(system.engine) as connection:
        set_name(connection, account.id, check_name(name))


def needs(system: System, account: AccountRow) -> Literal["password", "provider", "nothing"]:
    """What shows that an account is changed by its owner, and not by who found the browser open.

    Nothing does where its sessions are the only way in.
    """
    if has_password(system, account):
        return "password"
    return "nothing" if connected_with(system, account) is None else "provider"


def has_confirmed(system: System, account: AccountRow, confirmation: str) -> bool:
    """Whether the owner signed in with the provider a moment ago, for a change."""
    with transaction(system.engine) as connection:
        return is_confirmed(connection, token_sha256(confirmation), account.id)


def _check_owner(system: System, account: AccountRow, shown: Shown) -> None:
    """Raises: NotSignedIn, TooManyAttempts, NotConfirmed."""
    needed = needs(system, account)
    if needed == "password":
        check_own_password(system, account, shown.password, address=shown.address)
    if needed == "provider" and not has_confirmed(system, account, shown.confirmation):
        raise NotConfirmed(f"sign in with {provider_name(system.settings)} once more to change this")


def change_email(system: System, account: AccountRow, email: str, shown: Shown) -> None:
    """Change the e-mail address with which one signs in.

    Raises:
        NotSignedIn, TooManyAttempts: the password is wrong.
        NotConfirmed: there is none, and a provider signs the account in, which was not asked a moment ago.
        UsageError: it is none, or another account has it.
    """
    email = check_email(email)
    if email == account.email:
        return
    _check_owner(system, account, shown)
    with transaction(system.engine) as connection:
        if not set_email(connection, account.id, email):
            raise UsageError("this e-mail address cannot be used; give another")
        note_in_teams(connection, account, Action.EMAIL_CHANGED)


def change_password(
    system: System, account: AccountRow, new: str, shown: Shown, *, token: str, disconnects: bool = False
) -> None:
    """Change one's own password; every other session ends, and links to the account that were not used.

    Args:
        token: of the session that goes on.
        disconnects: whether providers may sign the account in no longer, either.

    Raises:
        NotSignedIn, TooManyAttempts, NotConfirmed: as `change_email`.
        UsageError: `new` is not fit.
    """
    _check_owner(system, account, shown)
    password_hash = hash_password(new)
    with transaction(system.engine) as connection:
        set_password(connection, account.id, password_hash)
        forget_other_ways_in(connection, account.id, but=token_sha256(token))
        if disconnects:
            disconnect_all(connection, config_of(system.settings), account)
        note_in_teams(connection, account, Action.PASSWORD_CHANGED)


def list_sessions(system: System, account: AccountRow, *, token: str) -> Sequence[tuple[SessionRow, bool]]:
    """The sessions of an account, the one used last first, and whether each is that of this token."""
    with transaction(system.engine) as connection:
        rows = select_sessions(connection, account.id)
    return [(row, row.token_sha256 == token_sha256(token)) for row in rows]


def end_session(system: System, account: AccountRow, session_id: UUID) -> None:
    """End one of one's own sessions.

    Raises:
        NotFound: there is no such session.
    """
    with transaction(system.engine) as connection:
        if not delete_session_of(connection, account.id, session_id):
            raise NotFound("there is no such session; it may have ended meanwhile")
        note_in_teams(connection, account, Action.SESSION_ENDED)
