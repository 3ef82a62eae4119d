"""Signing in with an OpenID Connect provider: who an account is there, and sign-ins that are on their way."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

IDENTITIES = """
CREATE TABLE identity (
    issuer text NOT NULL,
    subject text NOT NULL,
    account_id uuid NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    email text,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject),
    UNIQUE (account_id, issuer)
);
CREATE TABLE oidc_sign_in (
    state_sha256 text PRIMARY KEY,
    browser_sha256 text NOT NULL,
    nonce text NOT NULL,
    code_verifier text NOT NULL,
    link_sha256 text,
    account_id uuid REFERENCES account (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX oidc_sign_in_account ON oidc_sign_in (account_id);
CREATE INDEX oidc_sign_in_expires ON oidc_sign_in (expires_at);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    op.execute(IDENTITIES)
