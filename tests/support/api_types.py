"""The TypeScript types of the API's JSON, from its OpenAPI document: `pipeline/web/src/api_types.ts`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.paths import ROOT

FILE = ROOT / "pipeline" / "web" / "src" / "api_types.ts"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_WIDTH = 120


def typescript_of(document: Mapping[str, Any]) -> str:
    """The types of every schema of the document."""
    lines = ["/** What the API's JSON has in it, from its OpenAPI document; `make api-types` writes it anew. */"]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += ["", *_comment(schema), *_declaration(name, schema)]
    return "\n".join(lines) + "\n"


def _declaration(name: str, schema: Mapping[str, Any]) -> list[str]:
    if "properties" not in schema:
        return _wrapped(f"export type {name} = ", _type(schema))
    required = set(schema.get("required", ()))
    lines = [f"export interface {name} {{"]
    for field, of in schema["properties"].items():
        optional = "" if field in required else "?"
        lines += [f"  {line}" for line in _wrapped(f"readonly {field}{optional}: ", _type(of), _WIDTH - 2)]
    return [*lines, "}"]


def _wrapped(start: str, text: str, width: int = _WIDTH) -> list[str]:
    """A declaration on one line, or, of a union that is too long, one member a line."""
    if len(start) + len(text) + 1 <= width or " | " not in text:
        return [f"{start}{text};"]
    members = text.split(" | ")
    return [start.rstrip(), *(f"  | {member}" for member in members[:-1]), f"  | {members[-1]};"]


def _comment(schema: Mapping[str, Any]) -> list[str]:
    first = str(schema.get("description", "")).partition("\n\n")[0].replace("\n", " ")
    return [f"/** {first} */"] if first else []


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return " | ".join(f'"{value}"' for value in values) or _of_kind(schema, str(schema.get("type")))


def _of_kind(schema: Mapping[str, Any], kind: str) -> str:
    if kind == "array":
        inner = _type(schema.get("items", {}))
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"Readonly<Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>>"
    return _PLAIN.get(kind, "unknown")
