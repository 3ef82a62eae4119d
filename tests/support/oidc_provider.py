"""An OpenID Connect provider on loopback: it signs people in without asking, and misbehaves where a test wants it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

CLIENT_ID, CLIENT_SECRET = "poseline-test", "a secret: with % and +"


def _segment(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def rsa_key() -> RSAKey:
    """A new key for RS256."""
    return RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)


_ENCRYPTING = rsa_key()


@dataclass
class OidcProvider:
    """The provider, and what the tests change about it.

    Attributes:
        claims: of whoever is signed in there now, beside what the protocol needs.
        key: with which it signs.
        published: the keys of its JWK Set.
        secret: of its client.
        listed: how clients may show who they are.
        document: what is other in its discovery document.
        thin: whether ID tokens have no more than they need, so that the rest has to be asked for.
        claimed: changes the claims of an ID token before it is signed.
        signed: makes the ID token of these claims instead of signing them.
        returned: what is added to the query with which browsers come back.
        denies: the error with which they come back instead of a code.
        tells_when: whether ID tokens say when somebody signed in there.
        signed_in_at: when that was, of whoever is signed in there now; it asks again where that is wanted.
        asks_again: whether it does.
        answering: an event for which every answer waits.
        asked: the paths that it was asked for.
    """

    port: int
    claims: dict[str, Any] = field(default_factory=dict)
    secret: str = CLIENT_SECRET
    key: Key = field(default_factory=rsa_key)
    published: list[Key] = field(default_factory=list)
    listed: list[str] = field(default_factory=lambda: ["client_secret_basic", "client_secret_post"])
    document: dict[str, Any] = field(default_factory=dict)
    thin: bool = False
    claimed: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    signed: Callable[[dict[str, Any]], str] | None = None
    returned: dict[str, str] = field(default_factory=dict)
    denies: str | None = None
    tells_when: bool = True
    signed_in_at: float = field(default_factory=lambda: time.time() - 3600)
    asks_again: bool = True
    answering: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Its name."""
        return f"http://127.0.0.1:{self.port}"

    def rotate(self, key: Key | None = None) -> None:
        """Sign with another key from now on, and publish no other."""
        self.key = key or rsa_key()
        self.published = [self.key]

    def discovery(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=club",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": self.listed,
            "code_challenge_methods_supported": ["S256"],
            **self.document,
        }

    def jwks(self) -> dict[str, Any]:
        """Its keys with what Entra adds to them; among them one for encryption, and some that nobody can read."""
        others = [
            {**_ENCRYPTING.as_dict(private=False), "use": "enc", "kid": "enc"},
            {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "new"},
            {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "unknown curve"},
            {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "damaged"},
        ]
        more = {"issuer": self.issuer, "x5c": ["MIIC"], "x5t": "no thumbprint"}
        return {"keys": [*others, "none", *({**key.as_dict(private=False), **more} for key in self.published)]}

    def authorize(self, asked: Mapping[str, str]) -> str:
        """Sign in whoever is there. Returns where the browser goes back to."""
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT_ID
        assert {"openid", "email", "profile"} == set(asked["scope"].split())
        assert asked["tenant"] == "club"
        back = {"state": asked["state"], **self.returned}
        if self.denies:
            return f"{asked['redirect_uri']}?{urlencode({**back, 'error': self.denies})}"
        if asked.get("max_age") == "0" and asked.get("prompt") == "login" and self.asks_again:
            self.signed_in_at = time.time()
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**asked, "claims": json.dumps(self.claims)}
        return f"{asked['redirect_uri']}?{urlencode({**back, 'code': code})}"

    def token(self, form: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The tokens for a code, which works once and for who has its verifier."""
        given = (form.get("client_id"), form.get("client_secret"))
        if authorization:
            name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            given = (unquote_plus(name), unquote_plus(secret))
        method = "client_secret_basic" if authorization else "client_secret_post"
        if given != (CLIENT_ID, self.secret) or method not in self.listed:
            return HTTPStatus.UNAUTHORIZED, {"error": "invalid_client", "error_description": 'Umlaute "gäbe" es\n'}
        asked = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            asked is None
            or form.get("redirect_uri") != asked["redirect_uri"]
            or _segment(verifier) != asked["code_challenge"]
        ):
            return HTTPStatus.BAD_REQUEST, {"error": "invalid_grant"}
        now = int(time.time())
        person = json.loads(asked["claims"])
        if self.tells_when:
            person["auth_time"] = int(self.signed_in_at)
        protocol = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = self.claimed({**protocol, **({"sub": person["sub"]} if self.thin else person)})
        access = secrets.token_urlsafe(16)
        self._codes[access] = asked
        signed = self.signed(claims) if self.signed else self.sign(claims)
        return HTTPStatus.OK, {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": signed}

    def sign(self, claims: dict[str, Any]) -> str:
        """An ID token as it should be."""
        alg = "ES256" if isinstance(self.key, ECKey) else "RS256"
        return jwt.encode({"alg": alg, "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        """An ID token that nobody signed."""
        header = {"alg": "none", "typ": "JWT"}
        return f"{_segment(json.dumps(header).encode())}.{_segment(json.dumps(claims).encode())}."

    def signed_by_public_key(self, claims: dict[str, Any]) -> str:
        """An ID token with an HMAC whose secret is the public key, which everybody knows."""
        head = _segment(json.dumps({"alg": "HS256", "kid": self.key.kid}).encode())
        signed = f"{head}.{_segment(json.dumps(claims).encode())}"
        secret = self.key.as_pem(private=False)  # type: ignore[union-attr]
        return f"{signed}.{_segment(hmac.digest(secret, signed.encode(), 'sha256'))}"

    def userinfo(self, authorization: str) -> tuple[int, dict[str, Any]]:
        """All that it knows of whoever signed in."""
        asked = self._codes.get(authorization.removeprefix("Bearer "))
        return (HTTPStatus.OK, json.loads(asked["claims"])) if asked else (HTTPStatus.UNAUTHORIZED, {})


class _Handler(BaseHTTPRequestHandler):
    provider: OidcProvider

    def do_GET(self) -> None:
        path = self._begin()
        if path == "/.well-known/openid-configuration":
            self._tell(HTTPStatus.OK, self.provider.discovery())
        elif path == "/jwks":
            self._tell(HTTPStatus.OK, self.provider.jwks())
        elif path == "/userinfo":
            self._tell(*self.provider.userinfo(self.headers.get("Authorization", "")))
        elif path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("Location", self.provider.authorize(asked))
            self.end_headers()
        else:
            self._tell(HTTPStatus.NOT_FOUND, {})

    def do_POST(self) -> None:
        self._begin()
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._tell(*self.provider.token(form, self.headers.get("Authorization", "")))

    def _begin(self) -> str:
        path = urlsplit(self.path).path
        self.provider.asked.append(path)
        self.provider.answering.wait(60)
        return path

    def _tell(self, status: int, body: Mapping[str, Any]) -> None:
        with suppress(ConnectionError):  # whoever asked waits no longer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """A provider for one block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        provider = OidcProvider(server.server_port)
        provider.published = [provider.key]
        provider.answering.set()
        server.RequestHandlerClass = type("Handler", (_Handler,), {"provider": provider})
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield provider
        finally:
            provider.answering.set()
            server.shutdown()
            thread.join()
