"""What a kept report looks like: which facts are there, and of which type."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_FACTS = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
#: Machines and clips may have more facts than a reader needs.
_MORE = ConfigDict(strict=True, allow_inf_nan=False)


class _Machine(BaseModel):
    model_config = _MORE

    cpu: str
    cores: int
    python: str
    date: str
    poseline: str | None = None
    onnxruntime: str | None = None
    openvino: str | None = None
    load_average_before: list[float] = Field(min_length=1)


class _Clip(BaseModel):
    model_config = _MORE

    seconds: float
    width: int
    height: int
    codec: str


class _Figure(BaseModel):
    model_config = _FACTS

    name: str
    words: str
    unit: str
    ours: float
    against: float | None
    outcome: float
    goal: str | None
    met: bool | None
    pairs: Annotated[list[tuple[float, float | None]], Field(min_length=1)]
    plain: str
    details: dict[str, Any]


class _NotHere(BaseModel):
    model_config = _FACTS

    name: str
    reason: str


class _Facts(BaseModel):
    model_config = _FACTS

    schema_: int = Field(alias="schema")
    machine: _Machine
    clip: _Clip
    model: str
    pairs: int = Field(ge=1)
    figures: list[_Figure]
    missing: list[_NotHere]
    plot: str | None


def find_fault(text: str) -> str | None:
    """What is wrong with a report's JSON, in a few words; None where it has every fact, of the right type."""
    try:
        _Facts.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return None
