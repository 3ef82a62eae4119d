"""Who may do what: accounts, their teams, sessions, links, keys, shares, and what they did."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ACCOUNTS = """
CREATE TABLE account (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    name text NOT NULL,
    password_hash text,
    operator boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE TABLE membership (
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('viewer', 'coach', 'owner')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, account_id)
);
CREATE INDEX membership_account ON membership (account_id);
"""

# Of every secret only its SHA-256 is kept: they are random, so that there is nothing to guess.
SECRETS = """
CREATE TABLE share (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_sha256 text NOT NULL UNIQUE,
    video_id uuid NOT NULL REFERENCES video (id) ON DELETE CASCADE,
    created_by uuid REFERENCES account (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX share_video ON share (video_id);
CREATE TABLE web_session (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_sha256 text NOT NULL UNIQUE,
    account_id uuid REFERENCES account (id) ON DELETE CASCADE,
    share_id uuid REFERENCES share (id) ON DELETE CASCADE,
    client text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CHECK (num_nonnulls(account_id, share_id) = 1)
);
CREATE INDEX web_session_account ON web_session (account_id);
CREATE INDEX web_session_share ON web_session (share_id);
CREATE INDEX web_session_expires ON web_session (expires_at);
CREATE TABLE one_time_link (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_sha256 text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('first_owner', 'invitation', 'sign_in', 'new_password')),
    account_id uuid REFERENCES account (id) ON DELETE CASCADE,
    team_id uuid REFERENCES team (id) ON DELETE CASCADE,
    role text CHECK (role IN ('viewer', 'coach', 'owner')),
    email text,
    created_by uuid REFERENCES account (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX one_time_link_team ON one_time_link (team_id, created_at);
CREATE INDEX one_time_link_account ON one_time_link (account_id);
CREATE INDEX one_time_link_expires ON one_time_link (expires_at);
CREATE TABLE api_key (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL REFERENCES team (id) ON DELETE CASCADE,
    name text NOT NULL,
    prefix text NOT NULL UNIQUE,
    secret_sha256 text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'coach')),
    created_by uuid REFERENCES account (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_key_team ON api_key (team_id, created_at);
"""

AUDIT = """
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    team_id uuid REFERENCES team (id) ON DELETE CASCADE,
    account_id uuid REFERENCES account (id) ON DELETE SET NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_team ON audit (team_id, id);
CREATE INDEX audit_outlived ON audit (team_id, at);
CREATE INDEX audit_account ON audit (account_id);
CREATE TABLE sign_in_failure (
    subject text PRIMARY KEY,
    failures integer NOT NULL,
    last_at timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '60s'")
    for statements in (ACCOUNTS, SECRETS, AUDIT):
        op.execute(statements)
