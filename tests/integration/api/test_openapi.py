"""The OpenAPI document: complete enough for people and programs."""

from __future__ import annotations

import pytest
from fastapi import APIRouter

from pipeline.api import app
from pipeline.api.app import build_app
from pipeline.services.system import System


def test_every_endpoint_says_what_it_does_and_for_whom(system: System) -> None:
    document = build_app(system).openapi()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) > 30
    for path, method, operation in operations:
        assert operation["summary"], (path, method)
        assert operation["description"].endswith("."), (path, method)
        assert operation["tags"], (path, method)
        assert operation["x-access"], (path, method)
        for parameter in operation.get("parameters", ()):
            assert parameter["schema"], (path, parameter)


def test_an_endpoint_that_does_not_say_who_may_call_it_is_refused(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = APIRouter()
    router.add_api_route("/open", lambda: None)
    monkeypatch.setattr(app, "ROUTERS", (*app.ROUTERS, router))
    with pytest.raises(RuntimeError, match="/open does not say who may call it"):
        app.build_app(system)
