"""Sign in with a password, and out."""

from __future__ import annotations

from pipeline.core.audit import Action
from pipeline.core.tokens import new_token, token_sha256
from pipeline.db.accounts import AccountRow, find_account, set_password
from pipeline.db.audit import delete_audit_without_team
from pipeline.db.engine import transaction
from pipeline.db.sign_ins import (
    block,
    blocked_s,
    count_attempt,
    delete_expired,
    delete_session,
    forget_failures,
    insert_session,
    take_back_attempt,
)
from pipeline.errors import NotSignedIn, TooManyAttempts
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.accounts.callers import SESSION_S
from pipeline.services.accounts.passwords import hash_password, is_outdated, is_right
from pipeline.services.system import System

#: Wrong passwords that cost nothing; each one more doubles the wait from a second on.
_FREE = {"account": 5, "address": 20}
_LONGEST_WAIT_S = 900.0
_FORGET_S = 3600.0
_LONGEST_CLIENT = 200


def sign_in(system: System, email: str, password: str, *, address: str, client: str) -> tuple[AccountRow, str]:
    """Begin a session. Returns the account and the session's token.

    Args:
        address: network address of the caller, whose wrong passwords are counted, too.
        client: what the browser calls itself.

    Raises:
        NotSignedIn: there is no such account, or the password is wrong; which of them is not said.
        TooManyAttempts: too many wrong passwords came before.
        ServiceUnavailable: too many passwords come at once.
    """
    account = check_sign_in(system, email, password, address=address)
    return account, begin_session(system, account, client)


def check_sign_in(system: System, email: str, password: str, *, address: str) -> AccountRow:
    """Check a password, and count it where it is wrong.

    Raises:
        NotSignedIn, TooManyAttempts, ServiceUnavailable: as `sign_in`.
    """
    email = email.strip().lower()
    # Hashed: a list of who could not sign in should not be a list of addresses.
    subjects = {kind: f"{kind} {token_sha256(of)}" for kind, of in (("account", email), ("address", address))}
    with transaction(system.engine) as connection:
        if wait_s := blocked_s(connection, list(subjects.values())):
            raise TooManyAttempts(wait_s)
        for kind, subject in subjects.items():
            over = count_attempt(connection, subject, _FORGET_S) - _FREE[kind]
            if over > 0:
                block(connection, subject, min(2.0 ** (over - 1), _LONGEST_WAIT_S))
        found = find_account(connection, email)
    account, kept = found if found is not None else (None, None)
    # Outside of a transaction: it takes 50 ms.
    right = is_right(password, kept)
    if account is None or kept is None or not right:
        if account is not None:
            with transaction(system.engine) as connection:
                note_in_teams(connection, account, Action.SIGN_IN_FAILED)
        raise NotSignedIn("the e-mail address or the password is wrong; who runs this Poseline can make you a new link")
    renewed = hash_password(password) if is_outdated(kept) else None
    with transaction(system.engine) as connection:
        forget_failures(connection, subjects["account"])
        take_back_attempt(connection, subjects["address"], _FREE["address"])
        if renewed is not None:
            set_password(connection, account.id, renewed)
    return account


def begin_session(system: System, account: AccountRow, client: str) -> str:
    """Begin a session of an account that has shown who it is. Returns its token."""
    token = new_token()
    with transaction(system.engine) as connection:
        delete_expired(connection)
        delete_audit_without_team(connection)
        insert_session(connection, token_sha256(token), SESSION_S, client[:_LONGEST_CLIENT], account_id=account.id)
        note_in_teams(connection, account, Action.SIGNED_IN)
    return token


def sign_out(system: System, token: str) -> None:
    """End a session."""
    with transaction(system.engine) as connection:
        delete_session(connection, token_sha256(token))
