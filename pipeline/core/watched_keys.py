"""What the keys of a watched bucket mean: whose video an object is, with what name and tags, or why it is none."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from pipeline.core.key_pattern import KeyPattern
from pipeline.core.object_keys import is_own_key
from pipeline.core.tags import Tags, checked_tags, composed
from pipeline.core.video_names import is_video_name

#: In which order an object store lists keys: by their bytes, a folder's keys together (SeaweedFS), or in neither.
KeyOrder = Literal["bytes", "folders", "none"]

#: What becomes of an object, and what is counted of a listing.
Outcome = Literal[
    "taken",  # it is a video
    "duplicate",  # its content is another video's
    "refused",  # it is a video that cannot be analysed
    "settling",  # it changed too lately
    "unfit",  # its key does not fit the pattern
    "unknown_team",
    "no_video",  # its name is not a video's
    "empty",
    "archived",  # it has to be restored before it can be read
    "unreadable",  # the object store refuses to give it
    "erased",  # its video was erased, and is not to come back
    "own",  # Poseline wrote it
    "folder",
]
#: What is no video, and nothing that a person would miss.
UNREMARKABLE: Collection[Outcome] = ("taken", "duplicate", "erased", "folder", "own")

_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")


@dataclass(frozen=True)
class ListedObject:
    """An object as the store lists it.

    Args:
        modified_at: by the store's clock.
    """

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime
    storage_class: str = "STANDARD"


@dataclass(frozen=True)
class Meaning:
    """Whose video an object is; or, with an `outcome`, what it is instead, and why."""

    outcome: Outcome | None = None
    why: str = ""
    team: str | None = None
    name: str = ""
    tags: Tags = field(default_factory=dict)


def read_key(found: ListedObject, prefix: str, pattern: KeyPattern, *, in_own_bucket: bool) -> Meaning:
    """What an object below a watched prefix is by its key, size and kind of storage.

    `{team}` of the pattern is the team, `{name}` the video's name, without its ending; every other part is a tag.
    """
    none = _why_no_video(found, in_own_bucket=in_own_bucket)
    if none is not None:
        return none
    parts = pattern.match_whole(found.key.removeprefix(prefix))
    if parts is None:
        return Meaning("unfit", f"it does not fit {pattern.text}")
    team, stem = parts.pop("team", None), parts.pop("name", None)
    try:
        tags = checked_tags(parts)
    except ValueError as error:
        return Meaning("unfit", str(error))
    own_name = found.key.rpartition("/")[2]
    ending = os.path.splitext(own_name)[1]
    name = own_name if stem is None else stem if stem.lower().endswith(ending.lower()) else stem + ending
    return Meaning(team=None if team is None else composed(team), name=name, tags=tags)


def _why_no_video(found: ListedObject, *, in_own_bucket: bool) -> Meaning | None:
    """What an object is that is no video whatever the pattern says."""
    checks: tuple[tuple[bool, Outcome, str], ...] = (
        (found.key.endswith("/"), "folder", ""),
        (in_own_bucket and is_own_key(found.key), "own", ""),
        (not is_video_name(found.key), "no_video", "its name is not a video's"),
        (not found.size_bytes, "empty", "it has no bytes"),
        (found.storage_class in _ARCHIVED, "archived", f"it is archived ({found.storage_class}): restore it"),
    )
    return next((Meaning(outcome, why) for holds, outcome, why in checks if holds), None)


def settles_in_s(found: ListedObject, as_of: datetime, settle_s: float) -> float:
    """Seconds until an object has been the same for long enough; 0 or less where it has.

    Args:
        as_of: the time by the store's own clock.
    """
    return (found.modified_at + timedelta(seconds=settle_s) - as_of).total_seconds()


def order_key(key: str, order: KeyOrder) -> bytes:
    """By which a store that lists in that order sorts keys."""
    return (key.replace("/", "\x01") if order == "folders" else key).encode()


def order_of(keys: Sequence[str], after: str, expected: KeyOrder) -> KeyOrder:
    """The order in which a page was listed: the expected one if it fits, else another that does.

    Args:
        after: the last key of the page before.
    """
    for order in dict.fromkeys([expected, "bytes", "folders"]):
        if order != "none":
            sorted_by = [order_key(key, order) for key in ([after] if after else []) + list(keys)]
            if all(a < b for a, b in itertools.pairwise(sorted_by)):
                return order
    return "none"
