"""Every known model with its facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.inference.speeds import read_speeds
from pipeline.inference.zoo import list_models
from pipeline.services.model_facts import model_facts


def list_model_facts(models_path: Path) -> list[dict[str, Any]]:
    """The facts of every known model, with the speeds that were measured on this machine."""
    measured = read_speeds(models_path)
    return [model_facts(state, measured) for state in list_models(models_path)]
