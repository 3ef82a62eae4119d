"""A run's result files as streams of bytes: the same bytes as `export_run` writes, a piece at a time."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Literal, get_args
from uuid import UUID

import pipeline
from pipeline.core.object_keys import export_key
from pipeline.core.objects import StoredObject
from pipeline.core.states import RunState
from pipeline.errors import SourceGone
from pipeline.services.export import writer_of
from pipeline.services.frame_pass import Tally, iter_pass
from pipeline.services.pose_writers import Format
from pipeline.services.run_metadata import encode_run_metadata
from pipeline.services.run_result import RunResult, load_result
from pipeline.services.system import System
from pipeline.storage.store_errors import ObjectMissing

#: A result file by its ending.
ResultFile = Literal["jsonl", "csv", "parquet", "empty_frames.csv", "empty_frames.parquet", "metadata.json"]
RESULT_FILES: tuple[ResultFile, ...] = get_args(ResultFile)

_PIECE_BYTES = 2**18


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken; its position counts all of it, as writers of Parquet ask."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0
        self.waiting_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._parts.append(piece)
        self._at += len(piece)
        self.waiting_bytes += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        """What was written since it was last taken."""
        taken, self._parts, self.waiting_bytes = b"".join(self._parts), [], 0
        return taken


def open_result(system: System, run_id: UUID, *, team: str | None) -> RunResult:
    """The result whose files are asked for.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: it has not ended, or none of its frames were analysed.
    """
    return load_result(system, run_id, team=team)


def find_stored(system: System, result: RunResult, file: ResultFile) -> StoredObject | None:
    """The object that is this file already; None where there is none."""
    if file != "jsonl" or result.run.state is not RunState.DONE or result.run.export_removed_at is not None:
        return None
    try:
        return system.store.head(export_key(result.run.id))
    except (ObjectMissing, SourceGone):
        return None


def iter_result_file(system: System, result: RunResult, file: ResultFile) -> Iterator[bytes]:
    """The bytes of a file of poses, or of frames without people. Memory does not grow with the video.

    Raises:
        ServiceUnavailable: Postgres does not answer.
    """
    sink, other = _Sink(), _Sink()
    kind, _, ending = file.rpartition(".")
    form: Format = ending  # type: ignore[assignment]
    poses, empty = (other, sink) if kind else (sink, other)
    writer = writer_of(result, form, poses, empty)  # type: ignore[arg-type]
    for _row in iter_pass(result.iter_rows(system), (writer,)):
        other.take()
        if sink.waiting_bytes >= _PIECE_BYTES:
            yield sink.take()
    writer.close()
    yield sink.take()


def read_metadata(system: System, result: RunResult) -> tuple[bytes, str | None]:
    """`metadata.json`, and how many frames have no poses and why; None where none lacks them.

    Raises:
        ServiceUnavailable: Postgres does not answer.
    """
    tally = Tally()
    for _row in iter_pass(result.iter_rows(system), (tally,)):
        pass
    return encode_run_metadata(result.run, result.video, result.summary(tally)), tally.missing_line()


def result_tag(result: RunResult, file: ResultFile) -> str:
    """Text that is another one where the bytes of a result file may be others."""
    made_by = (str(result.run.id), result.run.state, file, pipeline.__version__, version("pyarrow"))
    tags = json.dumps([result.run.tags, result.run.is_current], sort_keys=True) if file == "metadata.json" else ""
    return hashlib.sha256("\n".join((*made_by, tags)).encode()).hexdigest()[:32]
