"""`poseline doctor` asks the provider with which people sign in, where one is set."""

from __future__ import annotations

import pytest

from tests.support.commands import said
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, oidc_provider


@pytest.mark.usefixtures("configured")
def test_doctor_says_whether_people_can_sign_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with oidc_provider() as provider:
        monkeypatch.setenv("POSELINE_OIDC_ISSUER", provider.issuer)
        monkeypatch.setenv("POSELINE_OIDC_CLIENT_ID", CLIENT_ID)
        assert "WRONG  sign-in   signing in with OpenID Connect needs POSELINE_OIDC_CLIENT_SECRET, too" in said(
            capsys, "doctor", code=1
        )
        monkeypatch.setenv("POSELINE_OIDC_CLIENT_SECRET", CLIENT_SECRET)
        told = said(capsys, "doctor", code=1)
    assert "ok     sign-in   127.0.0.1 answers and knows this client" in told
    assert "http://localhost:8080/signed-in" in told
