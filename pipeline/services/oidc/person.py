"""Who somebody is, as the provider's claims say it, and how much of that is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.services.accounts.names import check_email, check_name
from pipeline.services.oidc.config import OidcConfig

_GOOGLE = "https://accounts.google.com"
#: AWS Cognito says it in words, Entra by a number.
_YES = (True, "true", "True", 1, "1")


@dataclass(frozen=True)
class Person:
    """Who somebody is at a provider.

    Args:
        subject: what the provider calls them for ever.
        email: their address, where it is verified.
        said: the address that the provider names, verified or not.
        signed_in_at: when they showed the provider who they are, in seconds since 1970; None where it does not say.
    """

    issuer: str
    subject: str
    name: str
    email: str | None
    said: str | None
    signed_in_at: float | None = None


def person_of(config: OidcConfig, claims: Mapping[str, Any]) -> Person:
    """Who the claims of a checked ID token are about."""
    said = _email(claims.get("email"))
    verified = said is not None and (config.trusts_email or _is_verified(config.issuer, said, claims))
    given = (*(claims.get(key) for key in ("name", "given_name", "preferred_username")), (said or "").partition("@")[0])
    name = next(filter(None, map(_name, given)), said or "")
    return Person(config.issuer, claims["sub"], name, said if verified else None, said)


def _is_verified(issuer: str, email: str, claims: Mapping[str, Any]) -> bool:
    """Whether the provider says that whoever signs in can read mail to this address.

    Entra never says `email_verified`; its `xms_edov` says that the address belongs to a domain of the tenant's. Google
    says it of any account, but only of those with `hd`, and of its own addresses, that it still holds.
    """
    if issuer == _GOOGLE and not (claims.get("hd") or email.endswith("@gmail.com")):
        return False
    return claims.get("email_verified") in _YES or claims.get("xms_edov") in _YES


def _email(given: object) -> str | None:
    try:
        return check_email(given) if isinstance(given, str) and given.isprintable() else None
    except UsageError:
        return None


def _name(given: object) -> str | None:
    try:
        return check_name(given) if isinstance(given, str) else None
    except UsageError:
        return None
