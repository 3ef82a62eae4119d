"""The commands' use cases by the servers themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import UUID

from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.core.tags import Tags
from pipeline.db.pauses import Pause
from pipeline.inference.zoo import FoundModel, find_model
from pipeline.services import cancel, export, pause, preview, runs, teams, verify
from pipeline.services.capabilities import check_capability
from pipeline.services.known_files import KnownFiles
from pipeline.services.pose_writers import Format
from pipeline.services.registration import Registration
from pipeline.services.runs import Preference, Run, RunDetail, RunsPoll
from pipeline.services.take_in import Intake
from pipeline.services.upload_steps import check_servers
from pipeline.video.reader import start_decoder

if TYPE_CHECKING:
    from pipeline.cli.console import Console


class LocalClient:
    """A `Client` of the servers that the home or the environment names. They are contacted when they are needed."""

    own_team = teams.DEFAULT_TEAM

    def __init__(self, console: Console) -> None:
        self._console = console
        self._model: FoundModel | None = None

    def list_runs(
        self,
        *,
        team: str | None,
        limit: int,
        states: Collection[RunState],
        since: datetime | None,
        name: str | None,
        tags: Tags | None,
    ) -> list[Run]:
        return runs.list_runs(
            self._console.system, team=team, limit=limit, states=states, since=since, name=name, tags=tags
        )

    def list_pauses(self) -> list[Pause]:
        return pause.list_pauses(self._console.system)

    def find_run(self, name_or_id: str, *, team: str | None, prefer: Preference = "newest") -> UUID:
        return runs.find_run(self._console.system, name_or_id, team=team, prefer=prefer)

    def find_runs_by_tags(self, tags: Tags, *, team: str | None, prefer: Preference) -> list[UUID]:
        return runs.find_runs_by_tags(self._console.system, tags, team=team, prefer=prefer)

    def current_runs(self, *, team: str | None) -> list[UUID]:
        return verify.current_runs(self._console.system, team=team)

    def get_run(self, run_id: UUID, *, team: str | None) -> RunDetail:
        return runs.get_run(self._console.system, run_id, team=team)

    def poll_runs(self, run_ids: Collection[UUID], *, team: str | None) -> RunsPoll:
        return runs.poll_runs(self._console.system, run_ids, team=team)

    def cancel_run(self, run_id: UUID, *, team: str | None) -> cancel.Cancellation:
        return cancel.cancel_run(self._console.system, run_id, team=team)

    def verify_run(self, run_id: UUID, progress: Progress = SILENT) -> verify.Verdict:
        return verify.verify_run(self._console.system, run_id, progress)

    def export_run(
        self, run_id: UUID, to: Path, form: Format, *, team: str | None, progress: Progress = SILENT
    ) -> export.Export:
        return export.export_run(self._console.system, run_id, to, form, team=team, progress=progress)

    def export_to_stream(self, run_id: UUID, stream: IO[bytes], form: Format, *, team: str | None) -> str | None:
        return export.export_to_stream(self._console.system, run_id, stream, form, team=team)

    def preview_run(self, run_id: UUID, to: Path, *, team: str | None, progress: Progress = SILENT) -> preview.Preview:
        return preview.preview_run(self._console.system, run_id, to, team=team, progress=progress)

    def draw_thumbnail(self, run_id: UUID, *, team: str | None) -> bytes:
        return preview.draw_thumbnail(self._console.system, run_id, team=team)

    def prepare(self, model: str, lane: str) -> None:  # noqa: ARG002  every lane is there
        self._model = find_model(model, self._console.models_path, self._console.pins_path)
        start_decoder()  # while the servers are asked
        self._console.ensure_stack()
        check_servers(self._console.system)

    def missing_capability(self) -> str | None:
        assert self._model is not None
        return check_capability(self._console.system, self._model.spec.precision)

    def team_names(self) -> set[str]:
        return {teams.DEFAULT_TEAM, *(row.name for row in teams.list_teams(self._console.system))}

    def require_team(self, name: str) -> None:
        teams.require_team(self._console.system, name)

    def add_team(self, name: str) -> None:
        teams.add_team(self._console.system, name)

    def begin_intake(
        self, *, lane: str, deadline: datetime | None, progress: Progress, on_wait: Callable[[str], None]
    ) -> Intake:
        system = self._console.system
        registration = Registration(system, self._model, progress, lane=lane, deadline=deadline)
        return Intake(system, registration, KnownFiles(self._console.settings.home), on_wait)
