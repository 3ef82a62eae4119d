"""The signature of what a webhook is told: HMAC-SHA256 over the time and the body, so that neither can be another."""

from __future__ import annotations

import hashlib
import hmac


def signature_of(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=` and the hexadecimal HMAC-SHA256 of `TIMESTAMP.BODY`; the timestamp is in seconds since 1970."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"
