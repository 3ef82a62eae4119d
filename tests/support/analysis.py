"""Make runs in this process, by the services themselves, with a network that costs next to nothing."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from pipeline.inference.catalogue import find_entry
from pipeline.inference.engines.placement import Placement
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.services.detect import detect_chunk
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from tests.support.harness import ask, run_of, sql
from tests.support.onnx_maker import make_model
from tests.support.oracle_maker import LYING, make_oracle

MODEL = "rtmo-t"


def put_model(models_path: Path, model: str = MODEL) -> None:
    """A tiny graph under the name of a known model."""
    file = find_entry(model).pose.file_in(models_path)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_checksums(models_path, {model: sha256_of(make_model(file))})


def analyse(
    system: System,
    clip: Path,
    *,
    team: str = "team",
    chunks: Collection[int] | None = None,
    finish: bool = True,
    put: bool = True,
    model: str = MODEL,
) -> UUID:
    """A run of a clip.

    Args:
        chunks: the chunks to analyse; all by default. The run is finished only then.
        put: the tiny graph as the model; otherwise there is one of that name already.
    """
    if put:
        put_model(system.settings.models_path)
    run_id = ask(system, clip, team=team, model=model)
    if run_of(system, run_id).video_state == "stored":
        ingest_video(system, run_of(system, run_id).video_id, "w")
    models = ModelCache(system, Placement("cpu"))
    for (idx,) in sql(system, "SELECT idx FROM chunk WHERE run_id = :id ORDER BY idx", id=run_id):
        if chunks is None or int(str(idx)) in chunks:
            detect_chunk(system, models, run_id, int(str(idx)), "w")
    if finish and chunks is None:
        finish_run(system, run_id, "w")
    return run_id


def put_oracle(models_path: Path, model: str = MODEL, shape: tuple[int, int] = LYING) -> None:
    """The oracle under the name of a known model: its poses tell the number painted on each frame of that shape."""
    models_path.mkdir(parents=True, exist_ok=True)
    write_checksums(models_path, {model: sha256_of(make_oracle(models_path / f"{model}.onnx", shape=shape))})
