"""What is wrong is said in one line, to whoever it is for."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from pipeline.core.roles import Role
from pipeline.services.system import System, build_system
from tests.support.harness import sql
from tests.support.web import Client, make_team, served, signed_in


@pytest.mark.parametrize("misspelt", [{"expires_at": f"{datetime.now(UTC) + timedelta(days=1):%FT%TZ}"}, {"days": 1}])
def test_a_misspelt_field_is_not_taken_for_left_out(
    system: System, origin: str, misspelt: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    owner = signed_in(system, origin, "eva@example.org", club=Role.OWNER)
    keys = f"/teams/{make_team(system, 'club')}/keys"
    refused = owner.ask("POST", keys, {"name": "laptop", "role": "viewer", **misspelt})
    (field,) = misspelt
    assert refused.status == 422
    assert refused.json()["detail"].startswith(f"{field}: there is no such field; ")
    assert sql(system, "SELECT 1 FROM api_key") == []
    assert owner.ask("POST", keys, {"name": "laptop", "role": "viewer"}).status == 201


@pytest.mark.parametrize("body", [b"{", b"[1, 2]", b'"text"', b"[" * 100_000])
def test_what_is_no_json_object_is_said_to_be_none(system: System, origin: str, body: bytes) -> None:
    answer = signed_in(system, origin, "eva@example.org", club=Role.OWNER).ask(
        "POST", f"/teams/{make_team(system, 'club')}/keys", body, {"Content-Type": "application/json"}
    )
    assert answer.status in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert "JSON" in answer.json()["detail"]


def test_where_a_server_is_that_does_not_answer_is_for_the_log_alone(
    system: System, capfd: pytest.CaptureFixture[str]
) -> None:
    away = system.settings.model_copy(
        update={"database_url": SecretStr("postgresql+psycopg://poseline:secret@127.0.0.1:1/poseline")}
    )
    with closing(build_system(away)) as without, served(without) as origin:
        answer = Client(origin).ask("GET", "/session")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    told = answer.json()
    assert told["type"] == "urn:poseline:service-unavailable"
    assert not any(word in told["detail"] for word in ("127.0.0.1", "Postgres", "poseline up"))
    said = "".join(capfd.readouterr())
    assert "Postgres does not answer" in said
    assert "secret" not in said
