"""The read-only user: it reads the views that are made for people, and nothing else."""

from __future__ import annotations

from sqlalchemy import Connection, text

READER = "poseline_reader"

#: What docs/database.md describes.
VIEWS = ("pose", "keypoint", "current_pose", "current_keypoint", "current_frame", "run_summary")

#: What an administrator runs once in Poseline's database after making the role, as docs/operations.md shows. Any user
#: of a database may make temporary tables and large objects, and take the advisory locks by which workers take turns,
#: unless that is revoked.
RESTRICTIONS = (
    f"ALTER ROLE {READER} CONNECTION LIMIT 20",
    f"ALTER ROLE {READER} SET default_transaction_read_only = on",
    f"ALTER ROLE {READER} SET statement_timeout = '60s'",
    "REVOKE TEMPORARY ON DATABASE poseline FROM PUBLIC",
    "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    f"ALTER ROLE {READER} SET temp_file_limit = '1GB'",
    "REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC",
    """DO $$ DECLARE f regprocedure; BEGIN
    FOR f IN SELECT oid FROM pg_proc
             WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE 'pg%advisory%' LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO poseline', f);
    END LOOP;
END $$""",
)


def grant_views(connection: Connection) -> None:
    """Let the reader read the views, if there is such a role. The caller owns the views."""
    exists = connection.execute(text("SELECT FROM pg_roles WHERE rolname = :name"), {"name": READER})
    if exists.first() is None:
        return
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {READER}"))
    connection.execute(text(f"GRANT SELECT ON {', '.join(VIEWS)} TO {READER}"))
