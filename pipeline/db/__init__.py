"""Postgres, the source of truth. SQLAlchemy and psycopg are used here; every state change is a named function."""
