"""Uploads as JSON: what is asked and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from pipeline.api.body import Body
from pipeline.core.states import VideoState

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class NewUpload(Body):
    """A file that is to be uploaded.

    `first_sha256` is of its first `part_bytes` bytes, or of all where it has no more; with it, a video that is here
    already is found before it is sent again. `again` sends it even so.
    """

    name: str = Field(max_length=1024, examples=["cam03.mp4"])
    size_bytes: int = Field(strict=True, ge=0, le=2**53, examples=[268_435_456])
    modified_ms: int | None = Field(default=None, strict=True, ge=0, le=2**53, examples=[1_795_816_800_000])
    sha256: _Sha256 | None = None
    first_sha256: _Sha256 | None = None
    tags: dict[str, str] = Field(default_factory=dict, examples=[{"match": "home"}])
    model: str | None = Field(default=None, max_length=256, examples=["movenet-multipose-384"])
    again: bool = False


class Part(BaseModel):
    """A part that is stored. The first has number 1."""

    number: int
    size_bytes: int
    sha256: str


class UploadOut(BaseModel):
    """An upload, and the video of the same id that it becomes.

    `send_to`: parts go to this server, or to the object store itself under URLs that are asked for one by one.
    """

    id: UUID
    name: str
    size_bytes: int
    modified_ms: int | None
    part_bytes: int
    parts_total: int
    parts_stored: int
    stored_bytes: int
    begun_by: str
    begun_at: datetime
    last_at: datetime
    complete: bool
    send_to: Literal["server", "store"]


class UploadWithParts(UploadOut):
    """An upload and its parts that are stored."""

    parts: list[Part]


class Room(BaseModel):
    """What can be uploaded: the largest file, what is left of the team's quota, and the size of parts.

    A file of more than 9000 times `part_bytes` has larger parts: a 9000th of it, in whole MiB.
    """

    max_bytes: int
    quota_bytes: int | None
    left_bytes: int | None
    part_bytes: int
    short_of: str | None


class Uploads(BaseModel):
    """Uploads that are not complete, the newest first, and what else can be uploaded."""

    items: list[UploadOut]
    next: str | None
    room: Room


class KnownVideo(BaseModel):
    """A video that is here already. `certain`: with the same content; otherwise of the same size and beginning."""

    id: UUID
    name: str
    state: VideoState
    certain: bool


class BegunOut(BaseModel):
    """What became of a wish to upload.

    Either an upload, begun just now or gone on with, or the video that is here already.
    """

    status: Literal["begun", "resumed", "known"]
    upload: UploadWithParts | None
    known: KnownVideo | None


class PartToSign(Body):
    """A part that is to be sent to the object store."""

    sha256: _Sha256


class SignedPart(BaseModel):
    """Where to PUT a part, with which headers."""

    url: str
    headers: dict[str, str]


class SentPart(Body):
    """A part that the object store has answered for."""

    sha256: _Sha256
    etag: str = Field(max_length=130)


class CompletedOut(BaseModel):
    """The video that an upload became. `problem` says why it has no run."""

    video_id: UUID
    state: VideoState
    run_id: UUID | None
    problem: str
