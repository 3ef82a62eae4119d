"""The models that there are."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from pipeline.api.access import SystemOf, allow_known
from pipeline.api.answers import tagged
from pipeline.services.model_list import list_model_facts

router = APIRouter(tags=["models"])


class ModelOut(BaseModel):
    """A model, as `poseline models --json` has it; more fields have its figures."""

    model_config = ConfigDict(extra="allow")

    name: str
    for_whom: str | None
    on_this_machine: bool
    fingerprint: str | None
    keypoints: int
    keypoint_names: list[str]
    skeleton: list[Any]
    licence: str


class Models(BaseModel):
    """All models."""

    items: list[ModelOut]


@router.get("/models", response_model=Models, **allow_known())
def get_models(system: SystemOf, request: Request) -> Response:
    """Every model: for whom it is, its keypoints, how fast and how accurate it is."""
    return tagged(request, {"items": list_model_facts(system.settings.models_path)})
