"""A provider: what it says of itself, where people are sent, and who came back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.errors import NotSignedIn, ServiceUnavailable, UsageError
from pipeline.logs import get_logger
from pipeline.services.oidc.config import OidcConfig, is_secure
from pipeline.services.oidc.http import ProviderHttp
from pipeline.services.oidc.person import Person, person_of
from pipeline.services.oidc.refusals import NotBelieved, Refused

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

log = get_logger(__name__)

_KEEP_S = 3600.0
#: Whose pages let people choose among the accounts that they are signed in with; others refuse the word.
_LETS_CHOOSE = {"accounts.google.com", "login.microsoftonline.com"}
#: Which refuses the word.
_ASKS_NOBODY_ANEW = {"accounts.google.com"}


class Provider:
    """One provider. What it says of itself and its keys are read when they are needed, and again after an hour.

    Raises:
        ServiceUnavailable: by every method that asks it: it does not answer.
        UsageError: by the same: it is not the provider that is set, or cannot do what is needed.
    """

    def __init__(self, config: OidcConfig) -> None:
        self.config = config
        self._http = ProviderHttp(config)
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def metadata(self) -> Mapping[str, Any]:
        """What the provider says of itself (OpenID Connect Discovery 1.0)."""
        known = self._metadata
        if known is not None and time.monotonic() - known[0] < _KEEP_S:
            return known[1]
        found = self._discover()
        self._metadata = (time.monotonic(), found)
        return found

    def keys(self, *, anew: bool = False) -> KeySet:
        """The keys with which the provider signs."""
        from pipeline.services.oidc.id_token import public_keys  # noqa: PLC0415

        known = self._keys
        if known is not None and not anew and time.monotonic() - known[0] < _KEEP_S:
            return known[1]
        answer = self._http.get(self.metadata()["jwks_uri"])
        answer.raise_for_status()
        try:
            found = public_keys(answer.json())
        except (ValueError, NotBelieved) as error:
            raise UsageError(f"{self.config.name} has no keys that check its signatures at {answer.url}") from error
        self._keys = (time.monotonic(), found)
        return found

    def address(self, *, state: str, nonce: str, code_verifier: str, anew: bool = False) -> str:
        """Where a browser goes to sign in.

        Args:
            anew: whether the provider is to ask who it is, also whom it knows; what came of it is `signed_in_at`.
        """
        url = self.metadata()["authorization_endpoint"]
        host = urlsplit(url).hostname
        prompt = "select_account" if host in _LETS_CHOOSE else None
        if anew and host not in _ASKS_NOBODY_ANEW:
            prompt = "login"
        made, _ = self._client().create_authorization_url(
            url,
            state=state,
            nonce=nonce,
            code_verifier=code_verifier,
            prompt=prompt,
            max_age="0" if anew else None,
        )
        return str(made)

    def check_issuer(self, issuer: str | None) -> None:
        """Check by whom an answer claims to be sent (RFC 9207).

        Raises:
            NotSignedIn: by another provider.
        """
        needed = self.metadata().get("authorization_response_iss_parameter_supported") is True
        if issuer != self.config.issuer and (issuer is not None or needed):
            raise self._not_believed("the answer names another issuer")

    def redeem(self, code: str, *, nonce: str, code_verifier: str) -> Person:
        """Who signed in: the code for a token, and the token checked.

        Raises:
            NotSignedIn: the provider does not take the code, or its token must not be believed.
        """
        try:
            token = self.exchange(code, code_verifier)
        except Refused as error:
            log.warning("oidc_code_refused", error=error.error)
            self._metadata = None  # it may say something else now
            ours = error.error in {"invalid_client", "unauthorized_client"}
            fix = "`poseline doctor` says more" if ours else "begin again"
            raise NotSignedIn(f"{self.config.name} refused this sign-in ({error.error}); {fix}") from error
        claims = self._claims(token, nonce)
        person = person_of(self.config, claims if "email" in claims else self._userinfo(token, claims))
        return replace(person, signed_in_at=claims.get("auth_time"))

    def exchange(self, code: str, code_verifier: str) -> Mapping[str, Any]:
        """The token for a code.

        Raises:
            Refused: the provider gives none.
        """
        try:
            found: Mapping[str, Any] = self._client().fetch_token(
                self.metadata()["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=code_verifier,
            )
        except ValueError as error:
            raise ServiceUnavailable(f"{self.config.name} gave no answer that can be read; try again") from error
        return found

    def _claims(self, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        from pipeline.services.oidc.id_token import check_id_token  # noqa: PLC0415

        def checked(keys: KeySet) -> Mapping[str, Any]:
            return check_id_token(
                token.get("id_token"),
                keys,
                algorithms=self.metadata().get("id_token_signing_alg_values_supported"),
                issuer=self.config.issuer,
                client_id=self.config.client_id,
                nonce=nonce,
                access_token=token.get("access_token"),
            )

        try:
            try:
                return checked(self.keys())
            except NotBelieved as error:
                if not error.other_keys:
                    raise
                return checked(self.keys(anew=True))  # keys are changed now and then, with or without another name
        except NotBelieved as error:
            raise self._not_believed(error.reason) from error

    def _userinfo(self, token: Mapping[str, Any], claims: Mapping[str, Any]) -> Mapping[str, Any]:
        """The claims, and those that the provider gives only when they are asked for (Core 1.0, 5.3 and 5.4)."""
        url, access = self.metadata().get("userinfo_endpoint"), token.get("access_token")
        if not isinstance(url, str) or not isinstance(access, str) or not is_secure(url) or not access.isprintable():
            return claims
        answer = self._http.get(url, {"Authorization": f"Bearer {access}"})
        answer.raise_for_status()
        try:
            told = answer.json()
        except ValueError:  # a signed one; nothing needs it
            return claims
        if not isinstance(told, dict) or told.get("sub") != claims["sub"]:
            raise self._not_believed("userinfo is about somebody else")
        return {**told, **claims}

    def _not_believed(self, reason: str) -> NotSignedIn:
        log.warning("oidc_not_believed", issuer=self.config.issuer, reason=reason)
        return NotSignedIn(
            f"the answer of {self.config.name} cannot be trusted, and nobody was signed in; begin again, and tell who "
            "runs this Poseline: the log of `poseline web` says why"
        )

    def _client(self) -> Any:
        from pipeline.services.oidc.oauth_client import oauth_client  # noqa: PLC0415 - with Authlib, 0.2 s and 10 MB

        return oauth_client(self.config, self._http, self.metadata())

    def _discover(self) -> Mapping[str, Any]:
        name, issuer = self.config.name, self.config.issuer
        answer = self._http.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        try:
            if answer.status_code != 200:
                raise ValueError(answer.status_code)
            found = answer.json()
            told = found["issuer"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{name} has no OpenID Connect document at {answer.url} ({answer.status_code}); check "
                "POSELINE_OIDC_ISSUER"
            ) from error
        if told != issuer:
            raise UsageError(
                f"the provider at {issuer} calls itself {str(told)[:200]}; set POSELINE_OIDC_ISSUER to exactly that "
                "name, of one tenant where it serves many"
            )
        for key in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not isinstance(found.get(key), str) or not is_secure(found[key]):
                raise UsageError(f"{name} names no {key} over TLS; it cannot be used")
        return dict(found)
