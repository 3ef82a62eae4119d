"""Authlib's client, over our own connections."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from authlib.oauth2 import OAuth2Client

from pipeline.services.oidc.config import OidcConfig
from pipeline.services.oidc.http import ProviderHttp
from pipeline.services.oidc.refusals import Refused

_SCOPE = "openid email profile"


class _Client(OAuth2Client):  # type: ignore[misc]
    # Its own refuses descriptions with other characters than the standard's, which providers write.
    oauth_error_class = Refused


def oauth_client(config: OidcConfig, http: ProviderHttp, metadata: Mapping[str, Any]) -> Any:
    """A client for one sign-in: it makes the address with PKCE, and gets the token for a code.

    Args:
        metadata: what the provider says of itself.
    """
    listed = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    # A secret with special characters is encoded for the header by some and not by others; a form is a form.
    method = "client_secret_post" if "client_secret_post" in listed else "client_secret_basic"
    client = _Client(
        http,
        client_id=config.client_id,
        client_secret=config.client_secret,
        token_endpoint_auth_method=method,
        scope=_SCOPE,
        redirect_uri=config.redirect_uri,
        code_challenge_method="S256",
    )
    client.register_client_auth_method(("client_secret_basic", _basic))
    return client


def _basic(client: Any, _method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """RFC 6749, 2.3.1: both are encoded as in a form, before they are joined."""
    joined = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {b64encode(joined.encode()).decode()}"
    return uri, headers, body
