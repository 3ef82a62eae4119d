"""Which account somebody has who comes from the provider.

Whoever the provider calls by the same name is the same person, whatever their address. An address alone is believed
once, and only where nobody else can hold the account: it has no password and is connected with nobody. People choose
the addresses of their accounts themselves, so one with a password may have been made to wait for somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pipeline.core.audit import Action
from pipeline.core.link_kind import LinkKind
from pipeline.db.accounts import AccountRow, insert_account, set_password
from pipeline.db.identities import (
    Locked,
    Pending,
    forget_other_ways_in,
    insert_identity,
    lock_account,
    lock_account_of,
    note_identity_used,
)
from pipeline.db.one_time_links import LinkRow, use_link
from pipeline.services.accounts.audit import note_in_teams
from pipeline.services.accounts.callers import Caller
from pipeline.services.accounts.cut_off import cut_off
from pipeline.services.accounts.first_owner import become_first_owner
from pipeline.services.accounts.use_link import join, not_working
from pipeline.services.oidc.config import OidcConfig
from pipeline.services.oidc.person import Person


class TurnedAway(Exception):
    """Somebody whom the provider knows may not come in.

    Args:
        reason: why, and what to do.
        account: which they may have meant, for the log of its teams.
    """

    def __init__(self, reason: str, account: AccountRow | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.account = account


@dataclass(frozen=True)
class Arrival:
    """As whom somebody came.

    Args:
        confirms: whether they went away only to show that the account is theirs.
    """

    account: AccountRow
    confirms: bool = False


def arrive(connection: Connection, config: OidcConfig, person: Person, pending: Pending, caller: Caller) -> Arrival:
    """The account as which somebody is signed in now. It is locked until the end of the transaction.

    Args:
        pending: what they went away for.
        caller: who is signed in in their browser.

    Raises:
        TurnedAway: none.
        NotFound: the link that they went away with works no longer.
    """
    _check_domain(config, person)
    known = lock_account_of(connection, person.issuer, person.subject)
    if known is not None and known.disabled:
        raise TurnedAway(_DISABLED)
    if pending.account_id is not None:
        account = _connect(connection, config, person, pending, caller, known)
    elif pending.link_sha256 is not None:
        link = use_link(connection, pending.link_sha256)
        if link is None:
            raise not_working()
        account = _use(connection, config, person, link, known)
    else:
        found = known.account if known is not None else _of_address(connection, config, person)
        if found is None:
            raise _nobody(config, person)
        account = found
    note_identity_used(connection, person.issuer, person.subject, person.said)
    confirms = pending.account_id is not None and known is not None and not known.has_password
    return Arrival(account, confirms)


_DISABLED = "this account was disabled; ask who runs this Poseline"


def _check_domain(config: OidcConfig, person: Person) -> None:
    if not config.domains:
        return
    if person.email is None:
        raise _unverified(config, person)
    if person.email.rpartition("@")[2] not in config.domains:
        raise TurnedAway(
            f"only addresses of {', '.join(sorted(config.domains))} may sign in with {config.name}, and you came as "
            f"{person.email}; choose another account there, or sign in with a password"
        )


def _connect(
    connection: Connection, config: OidcConfig, person: Person, pending: Pending, caller: Caller, known: Locked | None
) -> AccountRow:
    account = caller.account
    if account is None or account.id != pending.account_id:
        raise TurnedAway(f"you signed out here meanwhile; sign in, and connect {config.name} again")
    if known is None:
        _insert(connection, config, person, account)
    elif known.account.id != account.id:
        raise TurnedAway(
            f"you came as somebody who signs in to another account here; disconnect {config.name} there first", account
        )
    return account


def _use(connection: Connection, config: OidcConfig, person: Person, link: LinkRow, known: Locked | None) -> AccountRow:
    """Do what a link is for, which was used up just now."""
    if link.kind is LinkKind.FIRST_OWNER:
        account = _known_or_new(connection, config, person, known)
        become_first_owner(connection, account)
        note_in_teams(connection, account, Action.JOINED)
        return account
    if link.kind is LinkKind.INVITATION:
        return join(connection, link, _known_or_new(connection, config, person, known))
    target = lock_account(connection, account_id=link.account_id)
    if link.kind is not LinkKind.NEW_PASSWORD or target is None or target.disabled:
        raise not_working()
    # Whoever has the link could choose the account's password; so it decides, whatever the address is.
    if known is not None and known.account.id != target.account.id:
        raise TurnedAway(f"you came as {known.account.email}, and this link is for another account", target.account)
    # It may be made because somebody else came in: nothing that was set before lets anybody in.
    cut_off(connection, config, target.account, keep=(person.issuer, person.subject))
    if target.has_password:
        set_password(connection, target.account.id, None)
        note_in_teams(connection, target.account, Action.PASSWORD_CHANGED, through=config.name)
    if known is None:
        _insert(connection, config, person, target.account)
    return target.account


def _known_or_new(connection: Connection, config: OidcConfig, person: Person, known: Locked | None) -> AccountRow:
    account = known.account if known is not None else _of_address(connection, config, person)
    if account is not None:
        return account
    if person.email is None:
        raise _unverified(config, person)
    made = insert_account(connection, person.email, person.name, None)
    if made is None or not insert_identity(connection, person.issuer, person.subject, made.id, person.said):
        raise TurnedAway("an account was made for you just now, in another window; begin again")
    note_in_teams(connection, made, Action.PROVIDER_CONNECTED, through=config.name)
    return made


def _of_address(connection: Connection, config: OidcConfig, person: Person) -> AccountRow | None:
    """The account of a verified address, from now on connected; None where there is none."""
    found = None if person.email is None else lock_account(connection, email=person.email)
    if found is None:
        return None
    account = found.account
    if found.disabled:
        raise TurnedAway(_DISABLED, account)
    if found.has_password:
        raise TurnedAway(
            f"the account of {account.email} has a password: sign in with it, and connect {config.name} on the page of "
            "your account, once",
            account,
        )
    if found.has_identity:
        raise TurnedAway(
            f"the account of {account.email} is connected with somebody else; who runs this Poseline can make you a "
            f"link with which you connect it anew (`poseline accounts link {account.email}`)",
            account,
        )
    # Who made it may have had a link to it; from now on it is whose address it is.
    forget_other_ways_in(connection, account.id)
    _insert(connection, config, person, account)
    return account


def _insert(connection: Connection, config: OidcConfig, person: Person, account: AccountRow) -> None:
    if not insert_identity(connection, person.issuer, person.subject, account.id, person.said):
        raise TurnedAway(
            f"your account is connected with somebody else at {config.name}; disconnect that first", account
        )
    note_in_teams(connection, account, Action.PROVIDER_CONNECTED, through=config.name)


def _nobody(config: OidcConfig, person: Person) -> TurnedAway:
    if person.email is None:
        return _unverified(config, person)
    return TurnedAway(
        f"nobody has an account here with the address {person.email}; ask an owner of your team for an invitation"
    )


def _unverified(config: OidcConfig, person: Person) -> TurnedAway:
    what = f"that {person.said} is your address" if person.said is not None else "your e-mail address"
    return TurnedAway(
        f"{config.name} does not confirm {what}, so that it is not known who you are here; sign in with a password, or "
        "ask who runs this Poseline (docs/sign-in.md)"
    )
