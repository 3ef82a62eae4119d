"""What a provider, a browser or somebody between them sends that must sign nobody in."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import trustme
from joserfc.jwk import ECKey, RSAKey

from pipeline.api.app import build_app
from pipeline.core.roles import Role
from pipeline.errors import ServiceUnavailable, UsageError
from pipeline.services.accounts.operate import add_account
from pipeline.services.oidc import http
from pipeline.services.oidc.check import check_provider
from pipeline.services.oidc.config import OidcConfig, config_of
from pipeline.services.system import System
from tests.support.harness import sql, wait_until
from tests.support.oidc_provider import CLIENT_ID, OidcProvider, oidc_provider, rsa_key
from tests.support.oidc_site import ANNA, OidcSite, oidc_site
from tests.support.paths import ROOT
from tests.support.web import Client

Claims = dict[str, Any]


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as provider:
        yield provider


@pytest.fixture
def site(system: System, provider: OidcProvider) -> Iterator[OidcSite]:
    """The application, in which Anna has an account."""
    add_account(system, "anna@club.org", name="Anna", team=None, role=Role.VIEWER, operator=False)
    with oidc_site(system, provider) as site:
        yield site


def with_claims(**changed: Any) -> Callable[[Claims], Claims]:
    """Change claims; those that are None are left out."""
    return lambda claims: {name: value for name, value in {**claims, **changed}.items() if value is not None}


#: What is changed in the claims of a token that is signed as it should be.
WRONG_CLAIMS: dict[str, Callable[[Claims], Claims]] = {
    "no nonce": with_claims(nonce=None),
    "a nonce of another sign-in": with_claims(nonce="another"),
    "another audience": with_claims(aud="another"),
    "no audience": with_claims(aud=None),
    "several audiences, and nobody said for which": with_claims(aud=[CLIENT_ID, "another"]),
    "authorized for another": with_claims(aud=[CLIENT_ID, "another"], azp="another"),
    "another issuer": with_claims(iss="https://accounts.google.com"),
    "an issuer with a slash more": lambda claims: {**claims, "iss": claims["iss"] + "/"},
    "no issuer": with_claims(iss=None),
    "expired": lambda claims: {**claims, "exp": claims["iat"] - 120},
    "without an end": with_claims(exp=None),
    "an end that is no number": with_claims(exp="never"),
    "from the future": lambda claims: {**claims, "iat": claims["iat"] + 3600},
    "not valid yet": lambda claims: {**claims, "nbf": claims["iat"] + 3600},
    "no subject": with_claims(sub=None),
    "an empty subject": with_claims(sub=""),
    "a subject that is no text": with_claims(sub="anna\0"),
    "a subject that is too long": with_claims(sub="a" * 256),
    "a subject that is a list": with_claims(sub=["anna-1"]),
    "a hash of another access token": with_claims(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
}


def test_a_token_that_fails_a_check_signs_nobody_in(site: OidcSite) -> None:
    provider = site.provider
    namesake = RSAKey.import_key({**rsa_key().as_dict(private=True), "kid": provider.key.kid})
    wrong_tokens: dict[str, Callable[[Claims], str]] = {
        "signed by nobody": provider.unsigned,
        "signed with the public key as a secret": provider.signed_by_public_key,
        "signed by somebody else under the name of its key": OidcProvider(provider.port, key=namesake).sign,
        "signed by a key that it does not publish": OidcProvider(provider.port, key=rsa_key()).sign,
        "changed after it was signed": lambda claims: provider.sign(claims)[:-8] + "AAAAAAAA",
        "no token": lambda _: "nothing",
        "three parts of nothing": lambda _: "..",
    }
    believed = []

    def asked(name: str) -> None:
        answer = site.sign_in(browser := site.browser())
        if answer.status != 401 or "cannot be trusted" not in answer.json()["detail"] or "poseline" in browser.cookies:
            believed.append((name, answer.status, answer.data))
        sql(site.system, "DELETE FROM sign_in_failure")

    for name, claimed in WRONG_CLAIMS.items():
        provider.claimed = claimed
        asked(name)
    provider.claimed = lambda claims: claims
    for name, signed in wrong_tokens.items():
        provider.signed = signed
        asked(name)
    provider.signed = None
    assert believed == []
    assert sql(site.system, "SELECT count(*) FROM web_session") == [(0,)]
    provider.claimed = with_claims(aud=[CLIENT_ID], azp=CLIENT_ID)
    assert site.sign_in(site.browser()).status == 200, "the control"


def test_keys_that_change_are_read_again_and_no_more_often(site: OidcSite) -> None:
    provider = site.provider
    assert [site.sign_in(site.browser()).status for _ in range(3)] == [200] * 3
    assert (provider.asked.count("/jwks"), provider.asked.count("/.well-known/openid-configuration")) == (1, 1)
    provider.rotate()
    assert site.sign_in(site.browser()).status == 200
    provider.rotate(ECKey.generate_key("P-256", auto_kid=True))
    assert site.sign_in(site.browser()).status == 200
    same_name = ECKey.import_key({**ECKey.generate_key("P-256").as_dict(private=True), "kid": provider.key.kid})
    provider.rotate(same_name)
    assert site.sign_in(site.browser()).status == 200
    assert provider.asked.count("/jwks") == 4
    # A client that has to show itself in another way from now on finds out when it is refused.
    provider.listed[:] = ["client_secret_basic"]
    assert [site.sign_in(site.browser()).status for _ in range(2)] == [401, 200]
    # Who gives thin tokens is asked for the rest.
    provider.thin = True
    provider.claims = {**ANNA, "sub": "new", "email": "new@club.org"}
    assert "nobody has an account here with the address new@club.org" in site.sign_in(site.browser()).json()["detail"]


def test_a_browser_comes_back_once_where_it_began_and_soon(site: OidcSite) -> None:
    victim, attacker = site.browser(), site.browser()
    back = site.go(attacker)
    site.go(victim)
    for refused in (site.come(victim, back), site.come(site.browser(), back)):
        assert (refused.status, "begun in another browser" in refused.json()["detail"]) == (400, True)
    assert "poseline" not in victim.cookies
    # Another site's page cannot do either step.
    for path, body in (("/session/provider", {}), ("/session/provider/return", back)):
        assert attacker.ask("POST", path, body, {"Origin": "https://evil.example"}).status == 403
    assert site.come(attacker, back).status == 200
    assert "is done already" in site.come(attacker, back).json()["detail"]
    # The code of one sign-in with the state of another: the verifier does not fit.
    first, second = site.go(attacker), site.go(attacker)
    mixed = site.come(attacker, {**second, "code": first["code"]})
    assert (mixed.status, "invalid_grant" in mixed.json()["detail"]) == (401, True)
    # Two tabs of one browser may be away at once.
    tabs = [site.go(attacker), site.go(attacker)]
    assert [site.come(attacker, each).status for each in tabs] == [200, 200]
    late = site.go(attacker)
    sql(site.system, "UPDATE oidc_sign_in SET expires_at = now()")
    assert "more than ten minutes ago" in site.come(attacker, late).json()["detail"]
    sql(site.system, "DELETE FROM sign_in_failure")
    # Somebody who says no there has not failed.
    site.provider.denies = "access_denied"
    assert "was told not to sign you in" in site.sign_in(attacker).json()["detail"]
    assert sql(site.system, "SELECT sum(failures) FROM sign_in_failure") == [(0,)]
    site.provider.denies = "<b>server_error</b>"
    assert "did not sign you in (no reason given)" in site.sign_in(attacker).json()["detail"]
    site.provider.denies = None
    # An answer says by whom it was sent (RFC 9207).
    site.provider.returned = {"iss": "https://another.example"}
    assert "cannot be trusted" in site.sign_in(attacker).json()["detail"]
    site.provider.returned = {"iss": site.provider.issuer}
    assert site.sign_in(attacker).status == 200
    elsewhere = attacker.ask(
        "POST", "/session/provider", {}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://other"}
    )
    assert (elsewhere.status, site.origin in elsewhere.json()["detail"]) == (400, True)


def test_a_provider_that_hangs_keeps_nobody_else_waiting(site: OidcSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TIMEOUT_S", 60.0)
    provider = site.provider
    assert site.sign_in(site.browser()).status == 200
    away = [(browser, site.go(browser)) for browser in (site.browser() for _ in range(13))]
    provider.asked.clear()
    provider.answering.clear()
    with ThreadPoolExecutor(12) as pool:
        came = [pool.submit(site.come, *each) for each in away[:12]]
        wait_until(lambda: len(provider.asked) == 8 and sum(each.done() for each in came) == 4, 50)
        assert Client(site.origin).ask("GET", "/health").status == 200
        turned_away = [each.result() for each in came if each.done()]
        provider.answering.set()
        assert sorted(each.result().status for each in came) == [200] * 8 + [503] * 4
    assert {(each.status, each.headers["retry-after"]) for each in turned_away} == {(503, "5")}
    assert "Club keeps others waiting, too" in turned_away[0].json()["detail"]
    provider.answering.clear()
    monkeypatch.setattr(http, "_TIMEOUT_S", 0.3)
    late = site.come(*away[12])
    assert (late.status, "Club does not answer at 127.0.0.1" in late.json()["detail"]) == (503, True)
    assert sql(site.system, "SELECT sum(failures) FROM sign_in_failure") == [(0,)], "it is nobody's failure"


@contextmanager
def tls_server() -> Iterator[int]:
    """A server whose certificate is of an authority that nobody trusts; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)


def test_what_is_set_wrongly_is_said(site: OidcSite) -> None:
    config = config_of(site.system.settings)
    assert config is not None
    provider = site.provider
    right = f"Club answers and knows this client; it has to know the redirect URI {site.origin}/signed-in, too"
    assert check_provider(config) == right
    shown = (ROOT / "docs" / "sign-in.md").read_text()
    assert right.replace("Club", "Club Google").replace(site.origin, "https://poses.club.org") in shown

    def said(changed: OidcConfig = config) -> str:
        with pytest.raises((UsageError, ServiceUnavailable)) as refused:
            check_provider(changed)
        return refused.value.message

    assert f"calls itself {provider.issuer}; set POSELINE_OIDC_ISSUER to exactly" in said(
        replace(config, issuer=f"{provider.issuer}/")
    )
    assert "has no OpenID Connect document" in said(replace(config, issuer=f"{provider.issuer}/realms/none"))
    for listed in (["client_secret_basic"], ["client_secret_post"]):
        provider.listed = listed
        check_provider(config)
        assert "does not take POSELINE_OIDC_CLIENT_ID with POSELINE_OIDC_CLIENT_SECRET" in said(
            replace(config, client_secret="old")
        )
    provider.document = {"code_challenge_methods_supported": ["plain"]}
    assert "no PKCE with S256" in said()
    provider.document = {"token_endpoint": "http://club.org/token"}
    assert "names no token_endpoint over TLS" in said()
    provider.document = {"jwks_uri": f"{provider.issuer}/userinfo"}
    assert "does not answer" in said() or "answered 401" in said()
    provider.document = {}
    provider.published = []
    assert "has no keys that check its signatures" in said()
    assert "Club does not answer at 127.0.0.1: it takes no connection" in said(
        replace(config, issuer="http://127.0.0.1:9")
    )
    assert "its name is not known" in said(replace(config, issuer="https://club.invalid"))
    with tls_server() as port:
        assert "certificate is not one that this machine trusts" in said(
            replace(config, issuer=f"https://localhost:{port}")
        )
    partly = replace(site.system, settings=site.system.settings.model_copy(update={"oidc_client_secret": None}))
    with pytest.raises(UsageError, match="needs POSELINE_OIDC_CLIENT_SECRET, too"):
        build_app(partly)
