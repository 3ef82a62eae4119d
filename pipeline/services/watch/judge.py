"""What becomes of one object of a watched bucket, given what is known of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.key_pattern import KeyPattern
from pipeline.core.states import VideoState
from pipeline.core.watched_keys import ListedObject, Meaning, Outcome, read_key, settles_in_s
from pipeline.db.teams import ensure_team, select_team_ids
from pipeline.db.watched_videos import KnownObject
from pipeline.db.watches import WatchRow
from pipeline.services.teams import DEFAULT_TEAM


@dataclass(frozen=True)
class NewObject:
    """An object that is to be taken in.

    Args:
        number: which of the versions of this object it is, from 1.
    """

    listed: ListedObject
    meaning: Meaning
    team_id: UUID
    number: int


@dataclass(frozen=True)
class Judgement:
    """What becomes of an object: taken in, with `new`; or counted as `outcome`.

    Args:
        settles_in_s: of one that changed too lately.
        back: a video whose object was gone and is there again.
    """

    outcome: Outcome = "taken"
    why: str = ""
    new: NewObject | None = None
    settles_in_s: float = 0.0
    back: UUID | None = None


class Judge:
    """Judges the objects of one watch."""

    def __init__(self, watch: WatchRow, team_ids: Mapping[str, UUID], own_bucket: str) -> None:
        self._watch, self._team_ids = watch, team_ids
        self._pattern = KeyPattern.parse(watch.pattern)
        self._in_own_bucket = watch.bucket == own_bucket

    @property
    def settle_s(self) -> float:
        """How long an object has to be the same."""
        return self._watch.settle_s

    def judge(self, found: ListedObject, known: Iterable[KnownObject], as_of: datetime) -> Judgement:
        """What becomes of an object.

        Args:
            known: the videos of this key.
            as_of: when it was found, by the store's clock.
        """
        meaning = read_key(found, self._watch.prefix, self._pattern, in_own_bucket=self._in_own_bucket)
        if meaning.outcome is not None:
            return Judgement(meaning.outcome, meaning.why)
        name = meaning.team or self._watch.team or DEFAULT_TEAM
        team_id = self._team_ids.get(name)
        if team_id is None:
            return Judgement("unknown_team", f"there is no team {name!r}")
        before = [one for one in known if one.team_id == team_id]
        same = [one for one in before if one.pinned.etag == found.etag]
        if same:
            return _known_outcome(same)
        wait_s = settles_in_s(found, as_of, self._watch.settle_s)
        if wait_s > 0:
            return Judgement("settling", f"it changed less than {self._watch.settle_s:g} s ago", settles_in_s=wait_s)
        number = 1 + sum(one.needs_source or one.duplicate_of is not None for one in before)
        return Judgement(new=NewObject(found, meaning, team_id, number))


def team_ids_for(connection: Connection, watch: WatchRow) -> dict[str, UUID]:
    """The ids of all teams by their names; the default one is made where the watch needs it."""
    if watch.team is None and "team" not in KeyPattern.parse(watch.pattern).keys:
        ensure_team(connection, DEFAULT_TEAM)
    return select_team_ids(connection)


def by_key(known: Sequence[KnownObject]) -> dict[str, list[KnownObject]]:
    """Known videos by the keys of their objects."""
    found: defaultdict[str, list[KnownObject]] = defaultdict(list)
    for one in known:
        found[one.pinned.key].append(one)
    return found


def superseded(found: ListedObject, known: Iterable[KnownObject]) -> list[KnownObject]:
    """Videos of an object that was overwritten, where no version of it is kept."""
    return [
        one
        for one in known
        if one.needs_source and not one.is_gone and one.pinned.version_id is None and one.pinned.etag != found.etag
    ]


def _known_outcome(same: Sequence[KnownObject]) -> Judgement:
    video = next((one for one in same if one.needs_source), same[0])
    back = video.video_id if video.is_gone else None
    if video.state is not VideoState.REJECTED:
        return Judgement("taken", back=back)
    if video.duplicate_of is not None:
        return Judgement("duplicate")
    return Judgement("refused", video.reason or "")
