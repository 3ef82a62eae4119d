"""Who accounts are at an OpenID Connect provider; sign-ins that have not come back from it, or confirm something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from pipeline.db.accounts import AccountRow
from pipeline.db.leases import after
from pipeline.db.sign_ins import delete_sessions_of
from pipeline.db.tables import account, identity, oidc_sign_in, one_time_link


@dataclass(frozen=True)
class Pending:
    """A sign-in that was begun here.

    Args:
        link_sha256: of the one-time link that it is to use.
        account_id: of who was signed in and wants the account to be connected, or to confirm that it is theirs.
        expires_at: by the database's clock; None where it is not kept yet.
    """

    nonce: str
    code_verifier: str
    link_sha256: str | None
    account_id: UUID | None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Connected:
    """Who an account is at the provider; the address is what the provider gave last."""

    subject: str
    email: str | None
    connected_at: datetime


@dataclass(frozen=True)
class Locked:
    """An account, locked until the end of the transaction.

    Args:
        has_identity: whether it is known at any provider.
    """

    account: AccountRow
    disabled: bool
    has_password: bool
    has_identity: bool


def insert_pending(
    connection: Connection, state_sha256: str, browser_sha256: str, what: Pending, keep_s: float
) -> None:
    """Keep a sign-in that begins, and remove those that never came back."""
    connection.execute(delete(oidc_sign_in).where(oidc_sign_in.c.expires_at < func.clock_timestamp()))
    connection.execute(
        oidc_sign_in.insert().values(
            state_sha256=state_sha256,
            browser_sha256=browser_sha256,
            nonce=what.nonce,
            code_verifier=what.code_verifier,
            link_sha256=what.link_sha256,
            account_id=what.account_id,
            expires_at=after(keep_s),
        )
    )


def take_pending(connection: Connection, state_sha256: str, browser_sha256: str) -> Pending | None:
    """Take a sign-in that came back to the browser that began it; None where there is none, or it took too long."""
    row = connection.execute(
        delete(oidc_sign_in)
        .where(
            oidc_sign_in.c.state_sha256 == state_sha256,
            oidc_sign_in.c.browser_sha256 == browser_sha256,
            oidc_sign_in.c.expires_at > func.clock_timestamp(),
        )
        .returning(oidc_sign_in)
    ).first()
    if row is None:
        return None
    return Pending(row.nonce, row.code_verifier, row.link_sha256, row.account_id, row.expires_at)


def insert_confirmation(connection: Connection, sha256: str, account_id: UUID, keep_s: float) -> None:
    """Keep that somebody showed the provider just now who they are, for who has the token of this SHA-256.

    It is a sign-in that came back: no browser can bring it back again.
    """
    connection.execute(
        oidc_sign_in.insert().values(
            state_sha256=sha256,
            browser_sha256="",
            nonce="",
            code_verifier="",
            account_id=account_id,
            expires_at=after(keep_s),
        )
    )


def is_confirmed(connection: Connection, sha256: str, account_id: UUID) -> bool:
    """Whether the account's owner showed the provider a moment ago who they are, and has the token of this SHA-256."""
    found = connection.execute(
        select(oidc_sign_in.c.account_id).where(
            oidc_sign_in.c.state_sha256 == sha256,
            oidc_sign_in.c.browser_sha256 == "",
            oidc_sign_in.c.account_id == account_id,
            oidc_sign_in.c.expires_at > func.clock_timestamp(),
        )
    ).first()
    return found is not None


def lock_account_of(connection: Connection, issuer: str, subject: str) -> Locked | None:
    """The account that somebody at a provider has here, also where it is disabled."""
    which = select(identity.c.account_id).where(identity.c.issuer == issuer, identity.c.subject == subject)
    row = connection.execute(which).first()
    if row is None:
        return None
    locked = lock_account(connection, account_id=row.account_id)
    # Who waited for the lock may have waited for its end.
    return locked if connection.execute(which).first() is not None else None


def lock_account(connection: Connection, *, account_id: UUID | None = None, email: str | None = None) -> Locked | None:
    """One account by its id or address, also where it is disabled."""
    which = account.c.id == account_id if account_id is not None else account.c.email == (email or "").lower()
    row = connection.execute(select(account).where(which).with_for_update(key_share=True)).first()
    if row is None:
        return None
    known = connection.execute(select(identity.c.subject).where(identity.c.account_id == row.id).limit(1)).first()
    return Locked(
        AccountRow(row.id, row.email, row.name, row.operator),
        row.disabled_at is not None,
        row.password_hash is not None,
        known is not None,
    )


def insert_identity(connection: Connection, issuer: str, subject: str, account_id: UUID, email: str | None) -> bool:
    """Let somebody at a provider sign in as an account. False where they do as another, or it is somebody else's."""
    added = insert(identity).values(issuer=issuer, subject=subject, account_id=account_id, email=email)
    return connection.execute(added.on_conflict_do_nothing().returning(identity.c.subject)).first() is not None


def note_identity_used(connection: Connection, issuer: str, subject: str, email: str | None) -> None:
    """Keep when somebody signed in, and the address that the provider gave."""
    connection.execute(
        update(identity)
        .where(identity.c.issuer == issuer, identity.c.subject == subject)
        .values(used_at=func.clock_timestamp(), email=email)
    )


def find_identity(connection: Connection, account_id: UUID, issuer: str) -> Connected | None:
    """Who an account is at a provider."""
    row = connection.execute(
        select(identity).where(identity.c.account_id == account_id, identity.c.issuer == issuer)
    ).first()
    return None if row is None else Connected(row.subject, row.email, row.created_at)


def delete_identity(connection: Connection, account_id: UUID, issuer: str) -> bool:
    """Let an account be signed in by a provider no longer. Returns whether it was."""
    gone = delete(identity).where(identity.c.account_id == account_id, identity.c.issuer == issuer)
    return connection.execute(gone).rowcount == 1


def delete_identities(connection: Connection, account_id: UUID, *, but: tuple[str, str] | None = None) -> list[str]:
    """Let no provider sign an account in any more, whatever it is called. Returns the issuers.

    Args:
        but: issuer and subject of who still may.
    """
    gone = delete(identity).where(identity.c.account_id == account_id)
    if but is not None:
        gone = gone.where(tuple_(identity.c.issuer, identity.c.subject) != tuple_(*but))
    return list(connection.execute(gone.returning(identity.c.issuer)).scalars())


def forget_other_ways_in(connection: Connection, account_id: UUID, *, but: str | None = None) -> None:
    """End the sessions of an account, and delete the links to it that were not used, and what it confirmed.

    Args:
        but: SHA-256 of the token of a session that goes on.
    """
    delete_sessions_of(connection, account_id, but=but)
    connection.execute(delete(oidc_sign_in).where(oidc_sign_in.c.account_id == account_id))
    connection.execute(
        delete(one_time_link).where(one_time_link.c.account_id == account_id, one_time_link.c.used_at.is_(None))
    )
