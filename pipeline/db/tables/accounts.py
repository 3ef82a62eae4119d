"""Who may do what, and who did what."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pipeline.db.tables.columns import metadata, timestamp


def _account(name: str, on_delete: str) -> Column[object]:
    return Column(name, Uuid, ForeignKey("account.id", ondelete=on_delete))


#: Somebody who signs in. See `db.accounts`.
account = Table(
    "account",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("operator", Boolean, nullable=False, server_default="false"),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("disabled_at", timestamp()),
    CheckConstraint("email = lower(email)"),
)

#: What an account may do in a team.
membership = Table(
    "membership",
    metadata,
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Index("membership_account", "account_id"),
)

#: A link to one video, for whoever has it.
share = Table(
    "share",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("token_sha256", Text, nullable=False, unique=True),
    Column("video_id", Uuid, ForeignKey("video.id", ondelete="CASCADE"), nullable=False),
    _account("created_by", "SET NULL"),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("expires_at", timestamp(), nullable=False),
    Column("revoked_at", timestamp()),
    Index("share_video", "video_id"),
)

#: A browser that is signed in, or that opened a share.
web_session = Table(
    "web_session",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("token_sha256", Text, nullable=False, unique=True),
    _account("account_id", "CASCADE"),
    Column("share_id", Uuid, ForeignKey("share.id", ondelete="CASCADE")),
    Column("client", Text, nullable=False, server_default=""),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("seen_at", timestamp(), nullable=False, server_default=func.now()),
    Column("expires_at", timestamp(), nullable=False),
    Index("web_session_account", "account_id"),
    Index("web_session_share", "share_id"),
    Index("web_session_expires", "expires_at"),
)

#: Who an account is at an OpenID Connect provider. See `db.identities`.
identity = Table(
    "identity",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("account_id", Uuid, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("used_at", timestamp(), nullable=False, server_default=func.now()),
    UniqueConstraint("account_id", "issuer"),
)

#: A sign-in that went to the provider and has not come back yet.
oidc_sign_in = Table(
    "oidc_sign_in",
    metadata,
    Column("state_sha256", Text, primary_key=True),
    Column("browser_sha256", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("code_verifier", Text, nullable=False),
    Column("link_sha256", Text),
    _account("account_id", "CASCADE"),
    Column("expires_at", timestamp(), nullable=False),
    Index("oidc_sign_in_account", "account_id"),
    Index("oidc_sign_in_expires", "expires_at"),
)

#: A link that works once: the first owner's, an invitation, a sign-in, or a new password.
one_time_link = Table(
    "one_time_link",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("token_sha256", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    _account("account_id", "CASCADE"),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE")),
    Column("role", Text),
    Column("email", Text),
    _account("created_by", "SET NULL"),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("expires_at", timestamp(), nullable=False),
    Column("used_at", timestamp()),
    Index("one_time_link_team", "team_id", "created_at"),
    Index("one_time_link_account", "account_id"),
    Index("one_time_link_expires", "expires_at"),
)

#: What a program signs in with; it belongs to one team.
api_key = Table(
    "api_key",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, unique=True),
    Column("secret_sha256", Text, nullable=False),
    Column("role", Text, nullable=False),
    _account("created_by", "SET NULL"),
    Column("created_at", timestamp(), nullable=False, server_default=func.now()),
    Column("expires_at", timestamp()),
    Column("last_used_at", timestamp()),
    Column("revoked_at", timestamp()),
    Index("api_key_team", "team_id", "created_at"),
)

#: Who did what.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", timestamp(), nullable=False, server_default=func.clock_timestamp()),
    Column("team_id", Uuid, ForeignKey("team.id", ondelete="CASCADE")),
    _account("account_id", "SET NULL"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, server_default=""),
    Column("detail", JSONB, nullable=False, server_default=text("'{}'")),
    Index("audit_team", "team_id", "id"),
    Index("audit_outlived", "team_id", "at"),
    Index("audit_account", "account_id"),
)

#: How often a wrong password was given for an e-mail address, or from a network address.
sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", timestamp(), nullable=False, server_default=func.now()),
    Column("blocked_until", timestamp()),
)
