"""The OpenAPI document: complete enough for people and programs, and the source of the pages' types."""

from __future__ import annotations

import os

from pipeline.api.app import build_app
from pipeline.services.system import System
from tests.support.api_types import FILE, typescript_of


def test_the_types_of_the_pages_are_those_of_the_api(system: System) -> None:
    types = typescript_of(build_app(system).openapi())
    if "WRITE_API_TYPES" in os.environ:
        FILE.write_text(types)
    assert FILE.read_text() == types, "run `make api-types`"


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
