"""The rows of videos that are taken in, and of their runs: those of many videos in one transaction.

Threads that take in videos at once share their transactions. What is the same for all of a command's videos is found
out once: the model, its weights in the object store, whether a worker computes in its precision.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.model_spec import ModelSpec
from pipeline.core.objects import StoredObject
from pipeline.core.progress import SILENT, Progress
from pipeline.core.shared_turns import SharedTurns
from pipeline.core.tags import Tags
from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.db.originals import no_new_run
from pipeline.db.pressure import Pressure, select_pressure
from pipeline.db.run_ends import insert_failed_run
from pipeline.db.runs import find_standing_runs, insert_runs
from pipeline.db.teams import ensure_team, lock_team
from pipeline.db.uploads import NewVideo, add_name, insert_refused, insert_videos, mark_all_stored, upload_removed
from pipeline.db.video_search import find_contents, find_object
from pipeline.db.videos import VideoRow, lock_for_runs, select_video
from pipeline.errors import PoselineError, UnknownTeam, UsageError, VideoRejected
from pipeline.inference.zoo import FoundModel
from pipeline.services.capabilities import missing_capability
from pipeline.services.dispatch import dispatch, dispatch_videos
from pipeline.services.plan import plan_runs
from pipeline.services.system import System
from pipeline.services.tags import Replaced, merge_tags
from pipeline.services.weight_store import store_weights


@dataclass(frozen=True)
class Arrival:
    """A video that is about to be taken in: a file, by its content where that is known, or an object that is there.

    Args:
        name: that it is to have.
    """

    team: str
    name: str
    tags: Tags
    sha256: str | None = None
    source: StoredObject | None = None


@dataclass(frozen=True)
class Entry:
    """The row of a video that is taken in.

    Args:
        known: the video of the same content or object, where there is one.
        replaced: values of its tags that are others now.
        short_of: what is near its limit, so that this object waits to be read.
    """

    video_id: UUID
    key: str
    known: VideoRow | None = None
    replaced: Replaced = ()
    short_of: Pressure | None = None


class NoRoom(Exception):
    """Nothing more is to be uploaded now; no row was made."""


@dataclass(frozen=True)
class Arrived:
    """A video whose object is where it belongs.

    Args:
        known: it was there before.
        stored: its object, where it was uploaded just now, with its SHA-256.
    """

    video_id: UUID
    known: bool
    stored: StoredObject | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class RequestedRun:
    """The run of a video that was taken in."""

    run_id: UUID
    video_id: UUID
    existed: bool


class Registration:
    """Enters videos into the database, and requests their runs by one model; none where `model` is None.

    Raises:
        InvalidWeights, UsageError, ServiceUnavailable: the weights cannot be stored where workers find them.
    """

    def __init__(
        self,
        system: System,
        model: FoundModel | None,
        progress: Progress = SILENT,
        *,
        lane: str = "fresh",
        deadline: datetime | None = None,
    ) -> None:
        self._system = system
        self._spec = None if model is None else model.spec
        self._lane, self._deadline = lane, deadline
        self._teams: dict[str, UUID] = {}
        if model is not None:
            store_weights(system, model, progress)
            with transaction(system.engine) as connection:
                spec = model.spec
                ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        self._share_turns()

    @classmethod
    def with_prepared(cls, system: System, spec: ModelSpec | None) -> Registration:
        """As the constructor, with a model that was prepared for later (`prepare_model`)."""
        made = cls(system, None)
        made._spec = spec
        return made

    def _share_turns(self) -> None:
        #: Finds a video by its content or object, or enters it; raises `NoRoom` where a new one would be uploaded.
        self.enter = SharedTurns(self._enter)
        #: Marks an upload as complete, has workers ingest it, and requests the video's run.
        self.complete = SharedTurns(self._complete)

    def refuse(self, team: str, name: str, size_bytes: int, reason: str) -> None:
        """Record that a video was refused before any of it was kept, and its run as failed.

        The same refusal again renews the time of the rows that it left before.
        """
        if self._spec is None:
            return
        with transaction(self._system.engine) as connection:
            lock_team(connection, team)
            self._team(connection, team)
            bucket = self._system.store.bucket
            video_id = insert_refused(connection, team, name, bucket=bucket, size_bytes=size_bytes, reason=reason)
            insert_failed_run(connection, video_id, self._spec.fingerprint, reason)

    def _enter(self, arrivals: Sequence[Arrival]) -> list[Entry | Exception]:
        """Find each video by its content or object; enter those that are new, but no upload while there is no room."""
        entries: dict[int, Entry | Exception] = {}
        with transaction(self._system.engine) as connection:
            teams = {name: self._team(connection, name) for name in sorted({one.team for one in arrivals})}
            known = self._find(connection, arrivals, teams)
            merged = merge_tags(connection, {known[at].id: one.tags for at, one in enumerate(arrivals) if at in known})
            for at, found in known.items():
                add_name(connection, found.id, arrivals[at].name)
                replaced = merged.get(found.id, ())
                if isinstance(replaced, PoselineError):
                    entries[at] = replaced
                else:
                    entries[at] = Entry(found.id, found.source.key if found.source else "", found, replaced)
            fresh = [at for at in range(len(arrivals)) if at not in entries]
            short_of = next(iter(select_pressure(connection)), None) if fresh else None
            if short_of is not None:
                entries |= {at: NoRoom() for at in fresh if arrivals[at].source is None}
                fresh = [at for at in fresh if at not in entries]
            rows = [_new_video(arrivals[at], teams) for at in fresh]
            made = insert_videos(connection, self._system.store.bucket, rows)
            entries |= {at: Entry(*ids, short_of=short_of) for at, ids in zip(fresh, made, strict=True)}
        return [entries[at] for at in range(len(arrivals))]

    def _team(self, connection: Connection, name: str) -> UUID:
        """The id of a team. One that was erased since it was first asked for is not made anew.

        Raises:
            UnknownTeam: it was erased, or is being erased.
        """
        team_id = ensure_team(connection, name)
        if self._teams.setdefault(name, team_id) != team_id:
            raise UnknownTeam(f"team {name!r} was erased; `poseline teams add` makes another of that name")
        return team_id

    def _find(
        self, connection: Connection, arrivals: Sequence[Arrival], teams: Mapping[str, UUID]
    ) -> dict[int, VideoRow]:
        """The videos that are there, by the arrival's place, in the order in which they are locked."""
        contents = find_contents(connection, {(teams[one.team], one.sha256) for one in arrivals if one.sha256})
        found: dict[int, VideoRow] = {}
        for at, one in enumerate(arrivals):
            video = (
                find_object(connection, one.team, one.source)
                if one.source
                else contents.get((teams[one.team], one.sha256 or ""))
            )
            if video is not None:
                found[at] = video
        return dict(sorted(found.items(), key=lambda item: item[1].id))

    def _complete(self, arrived: Sequence[Arrived]) -> list[RequestedRun | Exception | None]:
        """Mark uploads as complete, and request the runs of all."""
        answers: dict[UUID, RequestedRun | Exception | None] = {}
        with transaction(self._system.engine) as connection:
            stored = {one.video_id: one.stored for one in arrived if one.stored}
            marked = mark_all_stored(connection, stored, {one.video_id: one.sha256 for one in arrived if one.sha256})
            answers |= {video_id: upload_removed() for video_id in stored.keys() - marked}
            there = [one.video_id for one in arrived if one.video_id not in answers]
            answers |= dict.fromkeys(there) if self._spec is None else self._request(connection, self._spec, there)
        self._send([one.video_id for one in arrived if not one.known and one.video_id in there])
        runs = {one.video_id: answers[one.video_id] for one in arrived if one.known}
        self._plan([run.video_id for run in runs.values() if isinstance(run, RequestedRun) and not run.existed])
        return [answers[one.video_id] for one in arrived]

    def _request(
        self, connection: Connection, spec: ModelSpec, video_ids: Sequence[UUID]
    ) -> dict[UUID, RequestedRun | Exception]:
        """The runs of videos, or why one has none."""
        targets = lock_for_runs(connection, video_ids)
        good = {target for target in targets.values() if isinstance(target, UUID)}
        missing = missing_capability(connection, spec.precision)
        if missing is None:
            runs = insert_runs(connection, good, spec.fingerprint, lane=self._lane, deadline=self._deadline)
        else:  # runs that exist already are not affected
            runs = {of: (run_id, False) for of, run_id in find_standing_runs(connection, good, spec.fingerprint)}
        answers: dict[UUID, RequestedRun | Exception] = dict.fromkeys(video_ids, upload_removed())
        for video_id, target in targets.items():
            if isinstance(target, VideoRejected):  # by a worker that has ingested it already
                insert_failed_run(connection, video_id, spec.fingerprint, target.message)
                answers[video_id] = target
            elif target in runs:
                run_id, new = runs[target]
                answers[video_id] = RequestedRun(run_id, target, existed=not new)
            else:
                answers[video_id] = UsageError(missing) if missing else no_new_run(connection, target)
        return answers

    def _send(self, video_ids: Collection[UUID]) -> None:
        """Have workers ingest videos that are stored."""
        if video_ids:
            dispatch_videos(self._system)

    def _plan(self, video_ids: Sequence[UUID]) -> None:
        """Plan new runs of videos that were there before; those that are not ready are planned when they are."""
        planned = 0
        for video_id in video_ids:
            with transaction(self._system.engine) as connection:
                planned += plan_runs(connection, self._system.settings, video_id)
        if planned:
            dispatch(self._system)


def _new_video(one: Arrival, teams: Mapping[str, UUID]) -> NewVideo:
    return NewVideo(teams[one.team], one.name, one.sha256, one.tags, one.source)


def read_video(system: System, video_id: UUID, team: str) -> VideoRow:
    """A video's row as it is now."""
    with transaction(system.engine) as connection:
        return select_video(connection, video_id, team=team)
