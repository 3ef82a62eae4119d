"""Videos that are to be taken in, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from pipeline.core.tags import Tags
from pipeline.services.registration import RequestedRun
from pipeline.services.tags import Replaced
from pipeline.services.upload_steps import printable

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Item:
    """One video to take in.

    Args:
        location: a path, or `s3://bucket/key`.
        name: that the video is to have; by default that of the file or object.
        size_bytes: of a file.
        in_folder: it was found in a folder, and not named itself.
    """

    location: str
    team: str
    name: str | None = None
    tags: Tags = field(default_factory=dict)
    size_bytes: int = 0
    in_folder: bool = False

    @property
    def is_object(self) -> bool:
        """Whether it is in the object store."""
        return self.location.startswith("s3://")

    @property
    def shown_name(self) -> str:
        """The name that its video has, printable."""
        return printable(self.name or self.location.rpartition("/")[2])


@dataclass(frozen=True)
class TakenIn:
    """A video that was taken in, and its run, where one was asked for.

    Args:
        known_as: the name of the video of the same content that was there before; None where it is new.
        replaced: values of its tags that are others now.
    """

    video_id: UUID
    run: RequestedRun | None
    known_as: str | None
    replaced: Replaced = ()
