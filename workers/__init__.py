"""The Celery tasks: each takes ids and calls one service. Nothing in `pipeline` imports this package."""
