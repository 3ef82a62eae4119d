"""Sign in with a password, and out."""

from __future__ import annotations

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.accounts import AccountRow, find_account, holds_password, set_password
from pipeline.db.audit import delete_audit_without_team
from pipeline.db.engine import transaction
from pipeline.db.sign_ins import delete_expired, delete_session, insert_session
from pipeline.errors import NotSignedIn
from pipeline.services.accounts.attempts import Attempt
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.accounts.callers import SESSION_S
from pipeline.services.accounts.passwords import hash_password, is_outdated, is_right
from pipeline.services.system import System

_LONGEST_CLIENT = 200


def sign_in(system: System, email: str, password: str, *, address: str, client: str) -> tuple[AccountRow, str]:
    """Begin a session. Returns the account and the session's token.

    Args:
        address: network address of the caller, whose wrong passwords are counted, too.
        client: what the browser calls itself.

    Raises:
        NotSignedIn: there is no such account, or the password is wrong; which of them is not said.
        TooManyAttempts: too many sign-ins failed before.
        ServiceUnavailable: too many passwords come at once.
    """
    account, kept = _checked(system, email, password, address=address)
    with transaction(system.engine) as connection:
        if not holds_password(connection, account.id, kept):  # a new one was chosen just now, which ended all sessions
            raise _wrong()
        return account, insert_new_session(connection, account, client)


def check_sign_in(system: System, email: str, password: str, *, address: str) -> AccountRow:
    """Check a password, and count it where it is wrong.

    Raises:
        NotSignedIn, TooManyAttempts, ServiceUnavailable: as `sign_in`.
    """
    return _checked(system, email, password, address=address)[0]


def check_own_password(system: System, account: AccountRow, password: str, *, address: str) -> None:
    """Check the password of somebody who is signed in, and count it where it is wrong.

    Raises:
        NotSignedIn, TooManyAttempts, ServiceUnavailable: as `sign_in`.
    """
    try:
        check_sign_in(system, account.email, password, address=address)
    except NotSignedIn as error:
        raise NotSignedIn(
            "this is not your password; who runs this Poseline can make you a link to a new one"
        ) from error


def _checked(system: System, email: str, password: str, *, address: str) -> tuple[AccountRow, str]:
    """As `check_sign_in`; with the hash of the password."""
    email = email.strip().lower()
    attempt = Attempt(system, account=email, address=address)
    attempt.begin()
    with transaction(system.engine) as connection:
        found = find_account(connection, email)
    account, kept = found if found is not None else (None, None)
    # Outside of a transaction: it takes 50 ms.
    right = is_right(password, kept)
    if account is None or kept is None or not right:
        if account is not None:
            with transaction(system.engine) as connection:
                note_in_teams(connection, account, Action.SIGN_IN_FAILED)
        raise _wrong()
    renewed = hash_password(password) if is_outdated(kept) else None
    attempt.take_back()
    if renewed is not None:
        with transaction(system.engine) as connection:
            set_password(connection, account.id, renewed)
    return account, renewed or kept


def _wrong() -> NotSignedIn:
    return NotSignedIn("the e-mail address or the password is wrong; who runs this Poseline can make you a new link")


def begin_session(system: System, account: AccountRow, client: str, **detail: str) -> str:
    """Begin a session of an account that has shown who it is. Returns its token.

    Args:
        detail: for the log, such as by which provider.
    """
    with transaction(system.engine) as connection:
        return insert_new_session(connection, account, client, **detail)


def insert_new_session(connection: Connection, account: AccountRow, client: str, **detail: str) -> str:
    """As `begin_session`, in the transaction in which an account has shown who it is."""
    token = new_token()
    delete_expired(connection)
    delete_audit_without_team(connection)
    insert_session(connection, token_sha256(token), SESSION_S, client[:_LONGEST_CLIENT], account_id=account.id)
    note_in_teams(connection, account, Action.SIGNED_IN, **detail)
    return token


def sign_out(system: System, token: str) -> None:
    """End a session."""
    with transaction(system.engine) as connection:
        delete_session(connection, token_sha256(token))
