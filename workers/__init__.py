"""Celery's side of Poseline: ids in, one service call. Nothing in `pipeline` imports this."""
