"""Submit one video: take it in and request its run. An upload that is refused leaves a row that says why."""

from __future__ import annotations

from pipeline.core.progress import SILENT, Progress
from pipeline.core.tags import Tags
from pipeline.inference.zoo import find_model
from pipeline.services.registration import Registration
from pipeline.services.system import System
from pipeline.services.take_in import Intake
from pipeline.services.to_take_in import Item, TakenIn
from pipeline.services.upload_steps import check_servers, check_team


def submit_video(
    system: System, source: str, team: str, model_name: str, progress: Progress = SILENT, *, tags: Tags | None = None
) -> TakenIn:
    """Take in a file of this machine, or an object by its `s3://bucket/key`, and request its run.

    `progress` counts bytes of a file.

    Raises:
        UnknownModel, InvalidWeights: there is no such model here; nothing was uploaded.
        PoselineError: as `Intake.take_in`.
    """
    check_team(team)
    model = find_model(model_name, system.settings.models_path, system.settings.models_pins)
    check_servers(system)
    intake = Intake(system, Registration(system, model, progress), on_wait=progress.step)
    return intake.take_in(Item(source, team, tags=tags or {}), progress.advance)
