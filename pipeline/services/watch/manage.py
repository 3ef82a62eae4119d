"""Add, list and remove watches, and give them hints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.core.key_pattern import KeyPattern
from pipeline.core.object_keys import is_own_key
from pipeline.core.progress import SILENT, Progress
from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.db.teams import ensure_team
from pipeline.db.watches import NewWatch, WatchRow, delete_watch, insert_watch, select_watches
from pipeline.errors import NotFound, UsageError
from pipeline.inference.zoo import find_model
from pipeline.services.capabilities import check_capability
from pipeline.services.system import System
from pipeline.services.teams import require_team
from pipeline.services.upload_steps import check_team
from pipeline.services.watch.hints import put_named
from pipeline.services.weight_store import store_weights

_ID_SHOWN = 8


def add_watch(
    system: System,
    location: str,
    pattern: str,
    model_name: str,
    *,
    team: str | None,
    settle_s: float,
    every_s: float,
    progress: Progress = SILENT,
) -> WatchRow:
    """Watch a prefix of a bucket from now on; what is there already is taken in as well.

    That it can be listed and read is checked now, and the model's weights are put where workers find them.

    Args:
        location: `s3://bucket/prefix/`, or `s3://bucket/` for all of it.
        pattern: of the keys below the prefix: `{team}` is the team, `{name}` the video's name, other parts are tags.
        team: whose the videos are, where the pattern does not say it; by default the default team.

    Raises:
        UsageError: one of these makes no sense, or the same is watched already.
        UnknownTeam, UnknownModel, InvalidWeights: there is no such team or model here.
        BucketMissing, StoreRefuses, ServiceUnavailable: the bucket cannot be listed or read.
    """
    bucket, prefix = _read_location(system, location)
    names_team = "team" in _read_pattern(pattern).keys
    if names_team and team is not None:
        raise UsageError(f"{pattern} names the team; leave out --team, or the part {{team}}")
    if team is not None:
        check_team(team)
        require_team(system, team)
    found = find_model(model_name, system.settings.models_path, system.settings.models_pins)
    missing = check_capability(system, found.spec.precision)
    if missing is not None:
        raise UsageError(missing)
    _check_access(system, bucket, prefix)
    store_weights(system, found, progress)
    spec = found.spec
    with transaction(system.engine) as connection:
        ensure_model(connection, spec.fingerprint, spec.full_name, json.loads(spec.to_json()))
        team_id = None if team is None else ensure_team(connection, team)
        added = insert_watch(
            connection, NewWatch(bucket, prefix, pattern, team_id, spec.fingerprint, settle_s, every_s)
        )
        if added is None:
            raise UsageError(f"{location} is watched with {pattern} already; `poseline watch list` shows it")
        return next(one for one in select_watches(connection) if one.id == added)


def list_watches(system: System, *, team: str | None = None) -> list[WatchRow]:
    """Every watch, or those whose videos are all of one team."""
    with transaction(system.engine) as connection:
        return select_watches(connection, team_name=team)


def find_watch(system: System, name: str) -> WatchRow:
    """A watch by the first characters of its id, or by its `s3://bucket/prefix/`.

    Raises:
        NotFound: there is none, or it is not clear which is meant.
    """
    there = list_watches(system)
    found = [one for one in there if name == one.location or (name and str(one.id).startswith(name.lower()))]
    if not found:
        raise NotFound(f"there is no watch {name!r}; `poseline watch list` shows them")
    if len(found) > 1:
        listed = ", ".join(f"{short_watch_id(one)} ({one.location} {one.pattern})" for one in found)
        raise NotFound(f"{name!r} may be {len(found)} watches: {listed}; name one by its id")
    return found[0]


def remove_watch(system: System, name: str) -> WatchRow:
    """Watch a prefix no longer. The videos that were taken in stay, with their results. Returns what it was.

    Raises:
        NotFound: as `find_watch`.
    """
    watch = find_watch(system, name)
    with transaction(system.engine) as connection:
        delete_watch(connection, watch.id)
    return watch


def hint(system: System, urls: Sequence[str]) -> dict[str, bool]:
    """Have objects looked at with the next tick. Returns of each whether a watch covers it.

    Raises:
        UsageError: one is not of the form s3://bucket/key.
    """
    named: dict[str, tuple[str, str]] = {}
    for url in urls:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket or not key or "\0" in url:
            raise UsageError(f"{url} is not of the form s3://bucket/key")
        named[url] = (bucket, key)
    under = put_named(system, named.values())
    return {url: each in under for url, each in named.items()}


def short_watch_id(watch: WatchRow) -> str:
    """The first characters of a watch's id, enough to name it."""
    return str(watch.id)[:_ID_SHOWN]


def to_dict(watch: WatchRow) -> dict[str, Any]:
    """A watch as JSON fields."""
    return {
        "watch_id": str(watch.id),
        "location": watch.location,
        "pattern": watch.pattern,
        "team": watch.team,
        "model": watch.model_name,
        "settle_s": watch.settle_s,
        "every_s": watch.every_s,
        "created_at": watch.created_at.isoformat(),
    }


def _read_location(system: System, location: str) -> tuple[str, str]:
    bucket, slash, prefix = location.removeprefix("s3://").partition("/")
    if not location.startswith("s3://") or not bucket or not slash or (prefix and not prefix.endswith("/")):
        raise UsageError(f"{location} is not of the form s3://bucket/prefix/, with / at its end")
    if not location.isprintable():
        raise UsageError("a watched prefix has to be printable")
    if bucket == system.store.bucket and prefix and is_own_key(prefix):
        raise UsageError(f"{location} is Poseline's own; watch where others put their videos")
    return bucket, prefix


def _read_pattern(pattern: str) -> KeyPattern:
    try:
        return KeyPattern.parse(pattern)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_access(system: System, bucket: str, prefix: str) -> None:
    """Check that a prefix can be listed, and the first object in it be read."""
    page = system.store.listing.page(bucket, prefix, "", most=1)
    for one in page.objects:
        system.store.listing.look(bucket, one.key)
