"""Secrets that sign somebody in: random, shown once, and kept as their SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32


def new_token() -> str:
    """256 random bits, as text for a URL."""
    return secrets.token_urlsafe(_BYTES)


def token_sha256(token: str) -> str:
    """What is kept of a token. It is random, so that one round of a fast hash hides it."""
    return hashlib.sha256(token.encode()).hexdigest()
