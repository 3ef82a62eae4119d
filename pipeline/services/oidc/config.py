"""Which provider people may sign in with, as it is set."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from pipeline.errors import UsageError
from pipeline.services.accounts.link_addresses import web_address
from pipeline.settings import Settings

#: The page to which the provider sends people back.
CALLBACK = "/signed-in"
_LONGEST_NAME = 60
_NEEDED = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")


@dataclass(frozen=True)
class OidcConfig:
    """A provider, and what is believed of what it says.

    Args:
        name: what the pages call it.
        redirect_uri: where it sends people back; it has to be registered there.
        domains: of verified addresses that may sign in; empty for any.
        trusts_email: whether an address counts as verified that the provider does not call so.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    name: str
    redirect_uri: str
    domains: frozenset[str]
    trusts_email: bool


def config_of(settings: Settings) -> OidcConfig | None:
    """The provider that is set; None where none is.

    Raises:
        UsageError: it is set in part, or wrongly.
    """
    missing = [name for name in _NEEDED if getattr(settings, name) is None]
    if len(missing) == len(_NEEDED):
        return None
    if missing:
        names = " and ".join(f"POSELINE_{name.upper()}" for name in missing)
        raise UsageError(f"signing in with OpenID Connect needs {names}, too: set it, or unset the others")
    issuer, client_id, secret = settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret
    assert issuer is not None
    assert client_id is not None
    assert secret is not None
    if not is_secure(issuer) or urlsplit(issuer).query or urlsplit(issuer).fragment:
        raise UsageError("POSELINE_OIDC_ISSUER is like https://accounts.google.com; http only on this machine")
    address = web_address(settings)
    if not is_secure(address):
        raise UsageError(
            "signing in with OpenID Connect needs a POSELINE_WEB_URL that begins with https://; http only on localhost"
        )
    name = " ".join((settings.oidc_name or urlsplit(issuer).hostname or issuer).split())
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise UsageError(f"POSELINE_OIDC_NAME stands on a button: at most {_LONGEST_NAME} characters that can be shown")
    domains = frozenset(each for given in settings.oidc_domains.split(",") if (each := given.strip().lower()))
    if any("@" in each or "." not in each.strip(".") for each in domains):
        raise UsageError("POSELINE_OIDC_DOMAINS is like club.org,academy.club.org: domains, separated by commas")
    return OidcConfig(
        issuer, client_id, secret.get_secret_value(), name, address + CALLBACK, domains, settings.oidc_trust_email
    )


def provider_name(settings: Settings) -> str | None:
    """What the pages call the provider; None where none is set."""
    config = config_of(settings)
    return None if config is None else config.name


def is_secure(url: str) -> bool:
    """Whether nobody on the way can read or change what goes to an address: https, or this machine itself."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or not url.isprintable():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
