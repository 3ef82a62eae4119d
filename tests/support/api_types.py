"""The API's types for the pages, from its OpenAPI document: `python -m tests.support.api_types` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.api.app import build_app
from pipeline.services.system import build_system
from pipeline.settings import Settings
from tests.support.paths import ROOT

TYPES = ROOT / "pipeline" / "web" / "src" / "schema.ts"
_HEADER = "/** What the API takes and answers: written by `make api-types` from its OpenAPI document, not by hand. */\n"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def typescript() -> str:
    """Every schema of the OpenAPI document as an exported type."""
    # Nothing is contacted for the document.
    settings = Settings(
        database_url="postgresql://u:p@localhost/none", broker_url="redis://localhost",
        s3_endpoint="http://localhost", s3_access_key="none", s3_secret_key="none", _env_file=None,
    )  # type: ignore[arg-type, call-arg]  # fmt: skip
    system = build_system(settings)
    try:
        schemas = build_app(system).openapi()["components"]["schemas"]
    finally:
        system.close()
    return _HEADER + "".join(f"\n{_declared(name, schema)}" for name, schema in sorted(schemas.items()))


def _declared(name: str, schema: Mapping[str, Any]) -> str:
    said = " ".join(str(schema.get("description", "")).split())
    comment = f"/** {said} */\n" if said else ""
    if "properties" not in schema:
        return f"{comment}export type {_name(name)} = {_type(schema)};\n"
    required = set(schema.get("required", ()))
    lines = "".join(
        f"  readonly {_key(key)}{'' if key in required else '?'}: {_type(each)};\n"
        for key, each in schema["properties"].items()
    )
    return f"{comment}export interface {_name(name)} {{\n{lines}}}\n"


def _type(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911
    if reference := schema.get("$ref"):
        return _name(reference.rpartition("/")[2])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(_type(each) for each in schema[key]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(each) for each in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        if places := schema.get("prefixItems"):
            return f"readonly [{', '.join(_type(each) for each in places)}]"
        inner = _type(schema.get("items", {}))
        return f"readonly ({inner})[]" if " " in inner else f"readonly {inner}[]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"Readonly<Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>>"
    return _PLAIN.get(str(kind), "unknown")


def _name(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_]\w*", key) else json.dumps(key)


if __name__ == "__main__":
    TYPES.write_text(typescript())
