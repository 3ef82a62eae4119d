"""What the commands ask of Poseline: of its servers from here, or of its API on another machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol
from uuid import UUID

from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.core.tags import Tags
from pipeline.db.pauses import Pause
from pipeline.services.bulk_ingest import BulkIntake
from pipeline.services.cancel import Cancellation
from pipeline.services.export import Export
from pipeline.services.pose_writers import Format
from pipeline.services.preview import Preview
from pipeline.services.runs import Preference, Run, RunDetail, RunsPoll
from pipeline.services.verify import Verdict


class Client(Protocol):
    """The use cases of the commands that work from any machine. Each raises what the service of its name raises.

    `team` is None for any team that the client may see.
    """

    @property
    def own_team(self) -> str:
        """Whose videos are taken in where none is named."""

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
        """`services.runs.list_runs`."""

    def list_pauses(self) -> list[Pause]:
        """`services.pause.list_pauses`."""

    def find_run(self, name_or_id: str, *, team: str | None, prefer: Preference = "newest") -> UUID:
        """`services.runs.find_run`."""

    def find_runs_by_tags(self, tags: Tags, *, team: str | None, prefer: Preference) -> list[UUID]:
        """`services.runs.find_runs_by_tags`."""

    def current_runs(self, *, team: str | None) -> list[UUID]:
        """`services.verify.current_runs`."""

    def get_run(self, run_id: UUID, *, team: str | None) -> RunDetail:
        """`services.runs.get_run`."""

    def poll_runs(self, run_ids: Collection[UUID], *, team: str | None) -> RunsPoll:
        """`services.runs.poll_runs`."""

    def cancel_run(self, run_id: UUID, *, team: str | None) -> Cancellation:
        """`services.cancel.cancel_run`."""

    def verify_run(self, run_id: UUID, progress: Progress = SILENT) -> Verdict:
        """`services.verify.verify_run`."""

    def export_run(
        self, run_id: UUID, to: Path, form: Format, *, team: str | None, progress: Progress = SILENT
    ) -> Export:
        """`services.export.export_run`."""

    def export_to_stream(self, run_id: UUID, stream: IO[bytes], form: Format, *, team: str | None) -> str | None:
        """`services.export.export_to_stream`."""

    def preview_run(self, run_id: UUID, to: Path, *, team: str | None, progress: Progress = SILENT) -> Preview:
        """`services.preview.preview_run`."""

    def draw_thumbnail(self, run_id: UUID, *, team: str | None) -> bytes:
        """`services.preview.draw_thumbnail`."""

    def prepare(self, model: str, lane: str) -> None:
        """Check what would fail for all videos alike before any is taken in.

        Raises:
            UnknownModel, InvalidWeights, UsageError: there is no such model, or it cannot be used.
            ServiceUnavailable: a server does not answer.
        """

    def missing_capability(self) -> str | None:
        """Why no worker can analyse by the model that was prepared; None where one can, or it is not known."""

    def team_names(self) -> set[str]:
        """The teams that videos may be taken in for."""

    def require_team(self, name: str) -> None:
        """`services.teams.require_team`."""

    def add_team(self, name: str) -> None:
        """`services.teams.add_team`."""

    def begin_intake(
        self, *, lane: str, deadline: datetime | None, progress: Progress, on_wait: Callable[[str], None]
    ) -> BulkIntake:
        """Begin to take in videos, to be analysed by the model that was prepared."""
