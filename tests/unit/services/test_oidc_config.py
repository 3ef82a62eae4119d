"""What may be set of a provider, and what is believed of its claims."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from pipeline.errors import UsageError
from pipeline.services.oidc.config import OidcConfig, config_of, is_secure
from pipeline.services.oidc.person import person_of
from pipeline.settings import Settings
from tests.support.compose_file import COMPOSE, ROOT, VARIABLE, strings

GOOGLE = "https://accounts.google.com"


def settings(**given: Any) -> Settings:
    provider = {"oidc_issuer": GOOGLE, "oidc_client_id": "us", "oidc_client_secret": "ours"}
    return Settings(
        database_url="postgresql://u:p@localhost/none", broker_url="redis://localhost", s3_endpoint="http://localhost",
        s3_access_key="none", s3_secret_key="none", _env_file=None, **{**provider, **given},
    )  # type: ignore[arg-type, call-arg]  # fmt: skip


def config(**given: Any) -> OidcConfig:
    found = config_of(settings(**given))
    assert found is not None
    return found


def test_a_provider_is_set_whole_or_not_at_all() -> None:
    assert config_of(settings(oidc_issuer=None, oidc_client_id=None, oidc_client_secret=None)) is None
    found = config(web_url="https://poses.club.org/", oidc_domains=" Club.org,, academy.club.org ")
    assert (found.name, found.redirect_uri) == ("accounts.google.com", "https://poses.club.org/signed-in")
    assert found.domains == {"club.org", "academy.club.org"}
    assert "ours" not in repr(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oidc_client_id": None, "oidc_client_secret": None}, "CLIENT_ID and POSELINE_OIDC_CLIENT_SECRET, too"),
        ({"oidc_issuer": "http://keycloak.club.org"}, "POSELINE_OIDC_ISSUER is like"),
        ({"oidc_issuer": "accounts.google.com"}, "POSELINE_OIDC_ISSUER is like"),
        ({"oidc_issuer": "https://user:secret@club.org"}, "POSELINE_OIDC_ISSUER is like"),
        ({"oidc_issuer": "https://club.org?x=1"}, "POSELINE_OIDC_ISSUER is like"),
        ({"web_url": "http://poses.club.org"}, "POSELINE_WEB_URL that begins with https"),
        ({"oidc_domains": "@club.org"}, "POSELINE_OIDC_DOMAINS is like"),
        ({"oidc_domains": "org"}, "POSELINE_OIDC_DOMAINS is like"),
        ({"oidc_name": "x" * 61}, "POSELINE_OIDC_NAME"),
    ],
)
def test_what_is_set_wrongly_is_said_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        config_of(settings(**given))


def test_http_is_taken_on_this_machine_alone() -> None:
    for url in (
        "https://club.org",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://[::1]:1",
        "http://a.localhost",
    ):
        assert is_secure(url), url
    for url in ("http://club.org", "http://10.0.0.1", "ftp://localhost", "https://", "http://127.0.0.1.evil.org", "x"):
        assert not is_secure(url), url


@pytest.mark.parametrize(
    ("issuer", "claims", "verified"),
    [
        ("https://keycloak.club.org/realms/r", {"email_verified": True}, True),
        ("https://keycloak.club.org/realms/r", {"email_verified": False}, False),
        ("https://keycloak.club.org/realms/r", {"email_verified": "false"}, False),
        ("https://keycloak.club.org/realms/r", {"email_verified": ["true"]}, False),
        ("https://keycloak.club.org/realms/r", {}, False),
        ("https://cognito-idp.eu-west-1.amazonaws.com/pool", {"email_verified": "true"}, True),
        ("https://login.microsoftonline.com/tenant/v2.0", {"xms_edov": "1"}, True),
        ("https://login.microsoftonline.com/tenant/v2.0", {"xms_edov": True}, True),
        ("https://login.microsoftonline.com/tenant/v2.0", {"xms_edov": False}, False),
        (GOOGLE, {"email_verified": True, "hd": "club.org"}, True),
        (GOOGLE, {"email_verified": True}, False),
        (GOOGLE, {"email_verified": False, "hd": "club.org"}, False),
        (GOOGLE, {"email_verified": True, "email": "anna@gmail.com"}, True),
        (GOOGLE, {"email_verified": True, "email": "anna@gmail.com@evil.org"}, False),
    ],
)
def test_an_address_counts_where_the_provider_answers_for_it(
    issuer: str, claims: dict[str, Any], verified: bool
) -> None:
    person = person_of(config(oidc_issuer=issuer), {"sub": "1", "email": "Anna@club.org", **claims})
    assert (person.email is not None) == verified
    assert person.email is None or person.email == person.said


def test_what_a_provider_says_is_taken_as_it_is_kept() -> None:
    person = person_of(config(oidc_trust_email=True), {"sub": "1", "email": "Anna@Club.org", "name": " A\tB "})
    assert (person.email, person.name) == ("anna@club.org", "A B")
    odd = person_of(config(oidc_trust_email=True), {"sub": "1", "email": ["anna@club.org"], "name": {"a": 1}})
    assert (odd.email, odd.said, odd.name) == (None, None, "")


def test_the_file_for_compose_fits_beside_the_other() -> None:
    more = yaml.safe_load((ROOT / "docker" / "sign-in.yml").read_text())
    schema = yaml.safe_load((ROOT / "tests" / "unit" / "docker" / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(more)
    [(name, service)] = more["services"].items()
    assert name in COMPOSE["services"]
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    for text in strings(more):
        assert "$" not in VARIABLE.sub("", text), text
    assert service["environment"].keys() == {
        f"POSELINE_{field.upper()}" for field in Settings.model_fields if field.startswith("oidc_")
    }
