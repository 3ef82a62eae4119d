"""What people change about their own account."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.tokens import token_sha256
from pipeline.db.account_changes import set_email, set_name
from pipeline.db.accounts import AccountRow, find_account, select_account, set_password
from pipeline.db.engine import transaction
from pipeline.db.sign_ins import SessionRow, delete_session_of, delete_sessions_of, select_sessions
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.accounts.names import check_email, check_name
from pipeline.services.accounts.passwords import hash_password
from pipeline.services.accounts.sign_in import check_sign_in
from pipeline.services.system import System


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


def change_email(system: System, account: AccountRow, email: str, password: str, *, address: str) -> None:
    """Change the e-mail address with which one signs in.

    Raises:
        NotSignedIn, TooManyAttempts: the password is wrong.
        UsageError: it is none, or another account has it.
    """
    email = check_email(email)
    if email == account.email:
        return
    if has_password(system, account):
        check_sign_in(system, account.email, password, address=address)
    with transaction(system.engine) as connection:
        if not set_email(connection, account.id, email):
            raise UsageError("this e-mail address cannot be used; give another")
        note_in_teams(connection, account, Action.EMAIL_CHANGED)


def change_password(system: System, account: AccountRow, current: str, new: str, *, token: str, address: str) -> None:
    """Change one's own password; every other session ends.

    Args:
        current: the password so far; not looked at where there is none.
        token: of the session that goes on.

    Raises:
        NotSignedIn, TooManyAttempts: `current` is wrong.
        UsageError: `new` is not fit.
    """
    if has_password(system, account):
        check_sign_in(system, account.email, current, address=address)
    password_hash = hash_password(new)
    with transaction(system.engine) as connection:
        set_password(connection, account.id, password_hash)
        delete_sessions_of(connection, account.id, but=token_sha256(token))
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
