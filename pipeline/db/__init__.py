"""Postgres, the one truth. SQLAlchemy and psycopg live here; every change of a state is a named function."""
