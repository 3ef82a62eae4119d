"""The commands' use cases over the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from pipeline.core.files import replacing
from pipeline.core.progress import SILENT, Progress
from pipeline.core.states import RunState
from pipeline.core.tags import Tags
from pipeline.db.pauses import Pause
from pipeline.errors import NotAllowed, UnknownModel, UnknownTeam, UsageError
from pipeline.remote.decoded import detail_of, run_of
from pipeline.remote.http import LONG_S, Http
from pipeline.remote.intake import RemoteIntake
from pipeline.remote.login import Login
from pipeline.services.cancel import Cancellation
from pipeline.services.export import Export, cannot_write, checked_target, write_result_files
from pipeline.services.known_files import KnownFiles
from pipeline.services.pose_writers import Format
from pipeline.services.preview import Preview, make_way, preview_ending
from pipeline.services.runs import Preference, Run, RunDetail, RunsPoll
from pipeline.services.verify import Check, Verdict

_PAGE = 200
_POLLED = 1000
_FRESH = "fresh"
_PREVIEWS = {".mp4": "video.mp4", ".png": "sheet.png"}


class RemoteClient:
    """A `Client` of a server that the home is signed in at. It sees one team: that of its key.

    Args:
        home: where the hashes of files that were read are kept.
    """

    def __init__(self, login: Login, home: Path) -> None:
        self._http = Http(login.origin, login.key)
        self._login, self._home = login, home
        self._model = ""

    @property
    def own_team(self) -> str:
        return self._login.team

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
        self._check(team)
        found: list[Run] = []
        after = None
        while len(found) < limit:
            page = self._get(
                "/runs",
                limit=min(_PAGE, limit - len(found)),
                after=after,
                state=[str(state) for state in states],
                since=since and since.isoformat(),
                name=name,
                tag=_texts(tags),
            )
            found += map(run_of, page["items"])
            after = page["next"]
            if after is None:
                break
        return found

    def list_pauses(self) -> list[Pause]:
        pauses = self._get("/pauses")["items"]
        return [Pause(one["kind"], one["name"], datetime.fromisoformat(one["since"])) for one in pauses]

    def find_run(self, name_or_id: str, *, team: str | None, prefer: Preference = "newest") -> UUID:
        self._check(team)
        return self._named(called=name_or_id, prefer=prefer)[0]

    def find_runs_by_tags(self, tags: Tags, *, team: str | None, prefer: Preference) -> list[UUID]:
        self._check(team)
        return self._named(tag=_texts(tags), prefer=prefer)

    def current_runs(self, *, team: str | None) -> list[UUID]:
        self._check(team)
        return self._named()

    def get_run(self, run_id: UUID, *, team: str | None) -> RunDetail:
        self._check(team)
        return detail_of(self._get(f"/runs/{run_id}"))

    def poll_runs(self, run_ids: Collection[UUID], *, team: str | None) -> RunsPoll:
        self._check(team)
        ids = [str(run_id) for run_id in run_ids]
        polls = [self._post("/runs/poll", {"run_ids": ids[at : at + _POLLED]}) for at in range(0, len(ids), _POLLED)]
        return RunsPoll(
            [run_of(run) for poll in polls for run in poll["runs"]],
            all(poll["has_workers"] for poll in polls),
            {UUID(run_id): reason for poll in polls for run_id, reason in poll["blocking_reasons"].items()},
        )

    def cancel_run(self, run_id: UUID, *, team: str | None) -> Cancellation:
        self._check(team)
        done = self._post(f"/runs/{run_id}/cancel")
        return Cancellation(UUID(done["run_id"]), RunState(done["state"]), done["was_open"])

    def verify_run(self, run_id: UUID, progress: Progress = SILENT) -> Verdict:
        progress.step("the server reads the stored video and the frames again")
        found = self._post(f"/runs/{run_id}/verify", timeout_s=LONG_S)
        return Verdict(UUID(found["run_id"]), tuple(Check(**check) for check in found["checks"]))

    def export_run(
        self, run_id: UUID, to: Path, form: Format, *, team: str | None, progress: Progress = SILENT
    ) -> Export:
        self._check(team)
        metadata, missing = self._metadata(run_id)

        def write(files: Sequence[IO[bytes]]) -> tuple[dict[str, Any], str | None]:
            parts = [form] if form == "jsonl" else [form, f"empty_frames.{form}"]
            for file, part in zip(files, parts, strict=False):
                self._copy(f"/runs/{run_id}/exports/{part}", file)
            files[-1].write(metadata)
            results = json.loads(metadata)["results"]
            progress.total(results["frames"])
            progress.advance(results["frames"])
            return results, missing

        return write_result_files(run_id, to, form, write)

    def export_to_stream(self, run_id: UUID, stream: IO[bytes], form: Format, *, team: str | None) -> str | None:
        self._check(team)
        _, missing = self._metadata(run_id)
        self._copy(f"/runs/{run_id}/exports/{form}", stream)
        stream.flush()
        return missing

    def preview_run(self, run_id: UUID, to: Path, *, team: str | None, progress: Progress = SILENT) -> Preview:
        self._check(team)
        path = f"{self._login.team_path}/runs/{run_id}/previews/{_PREVIEWS[preview_ending(to)]}"
        to = checked_target(to)
        try:
            make_way(to, run_id)
            progress.step(f"the server draws {to.name}")
            answer = self._http.ask("GET", path, stream=True, timeout_s=LONG_S)
            with replacing(to) as [part], part.open("wb") as file:
                for piece in self._http.iter_answer(answer):
                    file.write(piece)
        except OSError as error:
            raise cannot_write(to, error) from error
        return Preview(to, tuple(json.loads(answer.headers.get("Poseline-Notes", "[]"))))

    def draw_thumbnail(self, run_id: UUID, *, team: str | None) -> bytes:
        self._check(team)
        return self._http.ask("GET", f"{self._login.team_path}/runs/{run_id}/previews/picture.jpg").data

    def prepare(self, model: str, lane: str) -> None:
        if lane != _FRESH:
            raise UsageError(f"--lane {lane} works on the servers themselves; leave it out over the API")
        if self._login.role == "viewer":
            raise NotAllowed("this key may only look; sign in with a key of the role coach to send videos")
        models = {one["name"]: one for one in self._http.get("/models")["items"]}
        known = {name for found in models.values() for name in (found["name"], *found["also"])}
        if not any(model.startswith(name) for name in known):
            raise UnknownModel(f"{self._login.origin} has no model {model!r}, but {', '.join(sorted(models))}")
        self._model = model

    def missing_capability(self) -> str | None:
        return None  # the server says it where a run is asked for

    def team_names(self) -> set[str]:
        return {self._login.team}

    def require_team(self, name: str) -> None:
        self._check(name)

    def add_team(self, name: str) -> None:
        self._check(name)

    def begin_intake(
        self,
        *,
        lane: str,  # noqa: ARG002  the one that `prepare` allows
        deadline: datetime | None,
        progress: Progress,  # noqa: ARG002
        on_wait: Callable[[str], None],
    ) -> RemoteIntake:
        known_files = KnownFiles(self._home)
        return RemoteIntake(self._http, self._login.team_path, self._model, deadline, known_files, on_wait)

    def _get(self, path: str, **query: Any) -> Any:
        return self._http.get(f"{self._login.team_path}{path}", **query)

    def _post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self._http.post(f"{self._login.team_path}{path}", body, **more)

    def _named(self, **query: Any) -> list[UUID]:
        return [UUID(run_id) for run_id in self._get("/runs/named", **query)["run_ids"]]

    def _metadata(self, run_id: UUID) -> tuple[bytes, str | None]:
        path = f"{self._login.team_path}/runs/{run_id}/exports/metadata.json"
        answer = self._http.ask("GET", path, timeout_s=LONG_S)
        return answer.data, answer.headers.get("Poseline-Missing") or None

    def _copy(self, path: str, to: IO[bytes]) -> None:
        answer = self._http.ask("GET", f"{self._login.team_path}{path}", stream=True, timeout_s=LONG_S)
        for piece in self._http.iter_answer(answer):
            to.write(piece)

    def _check(self, team: str | None) -> None:
        """Raise `UnknownTeam` where another team is named than that of the key."""
        if team not in {None, self._login.team}:
            raise UnknownTeam(
                f"this key is of team {self._login.team!r}: leave --team out, or sign in with a key of team {team!r}"
            )


def _texts(tags: Tags | None) -> list[str]:
    return [f"{key}={value}" for key, value in (tags or {}).items()]
