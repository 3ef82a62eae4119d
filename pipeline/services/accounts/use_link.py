"""What a one-time link is, and what happens when somebody uses it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.core.link_kind import LinkKind
from pipeline.core.tokens import token_sha256
from pipeline.db.accounts import (
    AccountRow,
    find_account,
    insert_account,
    role_of,
    select_account,
    set_password,
    set_role,
)
from pipeline.db.engine import transaction
from pipeline.db.one_time_links import LinkRow, find_link, use_link
from pipeline.errors import NotFound, UsageError
from pipeline.services.accounts.audit import note, note_in_teams
from pipeline.services.accounts.callers import Caller
from pipeline.services.accounts.cut_off import cut_off
from pipeline.services.accounts.first_owner import become_first_owner
from pipeline.services.accounts.names import check_email, check_name
from pipeline.services.accounts.passwords import hash_password
from pipeline.services.accounts.sign_in import check_sign_in
from pipeline.services.oidc.config import config_of
from pipeline.services.system import System


@dataclass(frozen=True)
class Given:
    """What somebody fills in; empty where a link's kind asks for less.

    Args:
        address: network address, whose wrong passwords are counted.
    """

    name: str = ""
    email: str = ""
    password: str = ""
    address: str = ""


def look_at_link(system: System, token: str) -> tuple[LinkRow, AccountRow | None]:
    """What a link is for, and whose it is. It stays unused.

    Raises:
        NotFound: it does not work.
    """
    with transaction(system.engine) as connection:
        link = find_link(connection, token_sha256(token))
        if link is None:
            raise not_working()
        return link, select_account(connection, link.account_id) if link.account_id else None


def follow_link(system: System, token: str, caller: Caller, given: Given) -> AccountRow:
    """Use a link up, and do what it is for. Returns the account that it signs in.

    An invitation is accepted by the account that is signed in, or else by the account of the address that is given,
    which is made where there is none.

    Raises:
        NotFound: it does not work.
        NotSignedIn, TooManyAttempts: there is an account of this address, and this is not its password.
        UsageError: what was given is not fit.
    """
    sha256 = token_sha256(token)
    with transaction(system.engine) as connection:
        link = find_link(connection, sha256)
        if link is None:
            raise not_working()
        known = find_account(connection, given.email.strip().lower())
    # What takes long, or fails, comes before the link is used up.
    password_hash = None
    if link.kind is LinkKind.INVITATION and caller.account is None and known is not None:
        caller = Caller(account=check_sign_in(system, given.email, given.password, address=given.address))
    elif link.kind in {LinkKind.FIRST_OWNER, LinkKind.NEW_PASSWORD} or (
        link.kind is LinkKind.INVITATION and caller.account is None
    ):
        password_hash = hash_password(given.password)
    with transaction(system.engine) as connection:
        link = use_link(connection, sha256)
        if link is None:
            raise not_working()
        return _follow(connection, system, link, caller, given, password_hash)


def _follow(
    connection: Connection, system: System, link: LinkRow, caller: Caller, given: Given, password_hash: str | None
) -> AccountRow:
    if link.kind is LinkKind.FIRST_OWNER:
        account = _new_account(connection, given, password_hash)
        become_first_owner(connection, account)
        note_in_teams(connection, account, Action.JOINED)
        return account
    if link.kind is LinkKind.INVITATION:
        account = caller.account or _new_account(connection, given, password_hash)
        return join(connection, link, account)
    account_ = select_account(connection, link.account_id) if link.account_id else None
    if account_ is None:
        raise not_working()
    if link.kind is LinkKind.NEW_PASSWORD:
        assert password_hash is not None
        set_password(connection, account_.id, password_hash)
        cut_off(connection, config_of(system.settings), account_)
        note_in_teams(connection, account_, Action.PASSWORD_CHANGED)
    return account_


def join(connection: Connection, link: LinkRow, account: AccountRow) -> AccountRow:
    """Let an account into the team of an invitation that was used up just now; a higher role that it has stays.

    Raises:
        UsageError: it is for another address; in this transaction, so that it stays unused.
    """
    assert link.team_id is not None
    assert link.role is not None
    if link.email and link.email.lower() != account.email:
        raise UsageError(
            f"this invitation is for {link.email}; come with that address, or ask for one without an address"
        )
    now = role_of(connection, link.team_id, account.id)
    if now is not None and now.includes(link.role):
        return account
    set_role(connection, link.team_id, account.id, link.role)
    note(connection, Caller(account=account), Action.JOINED, team_id=link.team_id, role=str(link.role))
    return account


def _new_account(connection: Connection, given: Given, password_hash: str | None) -> AccountRow:
    assert password_hash is not None
    account = insert_account(connection, check_email(given.email), check_name(given.name), password_hash)
    if account is None:
        raise UsageError("there is an account of this e-mail address already; sign in with it, and open the link again")
    return account


def not_working() -> NotFound:
    """What whoever opens a link is told that works no longer, or never did."""
    return NotFound("this link does not work: it was used already, is too old, or was taken back; ask for a new one")
