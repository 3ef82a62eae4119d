"""Alembic's scripts: additive first, under an advisory lock, with lock and statement time-outs."""
