"""The pages' types are those of the API that they ask."""

from __future__ import annotations

from tests.support.api_types import TYPES, typescript


def test_the_pages_types_are_those_of_the_api() -> None:
    assert TYPES.read_text() == typescript(), "run `make api-types`"
