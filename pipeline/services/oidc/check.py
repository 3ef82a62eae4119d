"""What `poseline doctor` finds out about the provider."""

from __future__ import annotations

from contextlib import closing

from pipeline.core.tokens import new_token
from pipeline.errors import UsageError
from pipeline.services.oidc.config import OidcConfig
from pipeline.services.oidc.provider import Provider
from pipeline.services.oidc.refusals import Refused


def check_provider(config: OidcConfig) -> str:
    """Check that people can sign in with a provider, as far as that can be told without a person.

    Its document is read over checked TLS and has to name the issuer that is set, its keys are read, and a code that
    is none is sent to it: the answer tells whether it knows our client and secret.

    Raises:
        ServiceUnavailable: it does not answer.
        UsageError: something is set wrongly, here or there.
    """
    with closing(Provider(config)) as provider:
        metadata = provider.metadata()
        provider.keys()
        methods = metadata.get("code_challenge_methods_supported")
        if isinstance(methods, list) and "S256" not in methods:
            raise UsageError(f"{config.name} supports no PKCE with S256; allow it there for this client")
        try:
            provider.exchange(f"doctor-{new_token()}", new_token())
        except Refused as error:
            if error.error in {"invalid_client", "unauthorized_client"}:
                raise UsageError(
                    f"{config.name} does not take POSELINE_OIDC_CLIENT_ID with POSELINE_OIDC_CLIENT_SECRET "
                    f"({error.error}); copy both from it again, a secret may have expired"
                ) from error
    return f"{config.name} answers and knows this client; it has to know the redirect URI {config.redirect_uri}, too"
