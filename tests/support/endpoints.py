"""Every endpoint of the API as its OpenAPI document tells it, and requests that fit them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.api.access import ACCESS_FIELD

#: Ways to say something that need no id; the same for every team.
PLAIN = {"number": "1", "segment": "0", "token": "nothing"}
#: In this order, so that what one endpoint removes was there for the others.
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Endpoint:
    """One method of one path.

    Args:
        access: who may call it.
        ids: its parameters that name something of somebody, in path and query.
        choices: its parameters that take one of these words.
        body: a schema for JSON, bytes, or None where there is none.
    """

    method: str
    path: str
    access: str
    ids: tuple[str, ...]
    query: tuple[str, ...]
    choices: Mapping[str, str]
    body: Any
    components: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, ids: Mapping[str, str]) -> str:
        """The address of this endpoint for these ids."""
        asked = [f"{name}={ids[name]}" for name in self.query]
        path = re.sub(r"{(\w+)}", lambda found: {**PLAIN, **self.choices, **ids}[found[1]], self.path)
        return path + ("?" + "&".join(asked) if asked else "")

    def filled(self, ids: Mapping[str, str]) -> Any:
        """A body that fits, which names these ids."""
        return b"bytes" if self.body is bytes else None if self.body is None else self._value("", self.body, ids)

    def body_ids(self, known: Mapping[str, str]) -> set[str]:
        """The ids that its body may name."""
        marked = {name: f"<{name}>" for name in known}
        return {name for name in known if marked[name] in str(self.filled(marked))}

    def _value(self, name: str, schema: Mapping[str, Any], ids: Mapping[str, str]) -> Any:  # noqa: PLR0911
        if reference := schema.get("$ref"):
            return self._value(name, self.components[reference.rpartition("/")[2]], ids)
        if name.removesuffix("s") in ids:
            one = ids[name.removesuffix("s")]
            return [one] if schema.get("type") == "array" else one
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._value(name, schema[key][0], ids)
        if "properties" in schema:
            return {key: self._value(key, each, ids) for key, each in schema["properties"].items()}
        if examples := schema.get("examples"):
            return examples[0]
        if "enum" in schema:
            return schema["enum"][0]
        if "default" in schema:
            return schema["default"]
        if schema.get("pattern", "").startswith("^[0-9a-f]{64}"):
            return "0" * 64
        kind = schema.get("type")
        return {"integer": 1, "number": 1.0, "boolean": False, "array": [], "object": {}}.get(str(kind), "x")


def endpoints_of(document: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Endpoint]:
    """Every endpoint, those that remove something last.

    Args:
        known: the parameters whose values the walk can give.
    """
    components = document["components"]["schemas"]
    found = []
    for path, methods in document["paths"].items():
        for method, declared in methods.items():
            where = f"{method.upper()} {path}"
            assert ACCESS_FIELD in declared, f"{where} does not say who may call it"
            ids, query, choices = [], [], {}
            for parameter in declared.get("parameters", []):
                name, schema = parameter["name"], parameter["schema"]
                if parameter["in"] == "query" and name in known:
                    query.append(name)
                elif parameter["in"] == "path" and (words := schema.get("enum") or [schema.get("const")])[0]:
                    choices[name] = words[0]
                elif parameter["in"] == "path" and name not in {*known, *PLAIN}:
                    pytest.fail(
                        f"{where}: the walk has no value for {{{name}}}: have tests/support/two_teams.py make one in "
                        "each team, and name it in `ids`; or, where it names nothing of anybody, add it to PLAIN here"
                    )
                if parameter["in"] in {"path", "query"} and name in known:
                    ids.append(name)
            content = declared.get("requestBody", {}).get("content", {})
            body = (
                content["application/json"]["schema"] if "application/json" in content else bytes if content else None
            )
            access = declared[ACCESS_FIELD]
            found.append(Endpoint(method.upper(), path, access, tuple(ids), tuple(query), choices, body, components))
    yield from sorted(found, key=lambda each: METHODS.index(each.method.lower()))
