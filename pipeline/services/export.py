"""Export a run's poses to files or a stream. The same run always gives the same bytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from pipeline.core.files import atomic_files
from pipeline.core.progress import SILENT, Progress
from pipeline.errors import PoselineError, UsageError
from pipeline.services.frame_pass import Tally, iter_pass
from pipeline.services.pose_writers import Csv, Format, FrameWriter, JsonLines
from pipeline.services.result_names import ResultNames, require_own
from pipeline.services.run_metadata import about, encode_run_metadata
from pipeline.services.run_result import RunResult, load_result
from pipeline.services.system import System

#: Errors of a disk, not of the path that was asked for.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}


@dataclass(frozen=True)
class Export:
    """The files that were written, the poses first, and the run's numbers.

    Args:
        missing: how many frames could not be or were not analysed, with the reason; None where there is none.
    """

    files: tuple[Path, ...]
    summary: dict[str, Any]
    missing: str | None


def export_run(
    system: System, run_id: UUID, to: Path, form: Format, *, team: str | None, progress: Progress = SILENT
) -> Export:
    """Write the poses of a run that has ended to `to`. The files appear complete or not at all.

    Parquet and CSV have one row per person per frame; frames without people are in a second file beside it,
    `NAME.empty_frames.EXT`. `NAME.metadata.json` describes the run, the video, the model and the keypoints. `progress`
    counts frames.

    Raises:
        NotFound: there is no such run, or it is another team's.
        RunFailed: the run has not ended, or none of its frames were analysed.
        UsageError: the file cannot be written, or its name belongs to another run.
        PoselineError: the disk is full.
    """
    result = load_result(system, run_id, team=team)

    def write(files: Sequence[IO[bytes]]) -> tuple[dict[str, Any], str | None]:
        tally = _write(system, result, form, files[0], files[-2], progress)
        summary = result.summary(tally)
        files[-1].write(encode_run_metadata(result.run, result.video, summary))
        return summary, tally.missing_line()

    return write_result_files(run_id, to, form, write)


def write_result_files(
    run_id: UUID, to: Path, form: Format, write: Callable[[Sequence[IO[bytes]]], tuple[dict[str, Any], str | None]]
) -> Export:
    """Write a run's result files: the poses to `to`, those beside it, and the metadata.

    Args:
        write: writes the open files, of JSON Lines two, else three; returns the run's numbers, and how many frames are
            missing.

    Raises:
        UsageError, PoselineError: as `export_run`.
    """
    names = ResultNames.of_poses(to)
    paths = [to] if form == "jsonl" else [to, to.with_name(f"{to.stem}.empty_frames{to.suffix}")]
    paths.append(names.metadata)
    targets = [checked_target(path) for path in paths]
    require_own(names, run_id, paths)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with atomic_files(targets) as files:
            summary, missing = write(files)
    except OSError as error:
        raise cannot_write(to, error) from error
    return Export(tuple(paths), summary, missing)


def export_to_stream(
    system: System, run_id: UUID, stream: IO[bytes], form: Format, *, team: str | None, progress: Progress = SILENT
) -> str | None:
    """Write the poses of a run that has ended to a stream: the first file of `export_run` alone.

    Returns how many frames are missing and why, None where none is.

    Raises:
        NotFound, RunFailed: as `export_run`.
        OSError: the stream cannot be written to; BrokenPipeError if its reader is gone.
    """
    result = load_result(system, run_id, team=team)
    with Path(os.devnull).open("wb") as nothing:
        tally = _write(system, result, form, stream, nothing, progress)
    stream.flush()
    return tally.missing_line()


def checked_target(to: Path) -> Path:
    """The path to write, links resolved.

    Raises:
        UsageError: something other than a regular file, such as a folder or a device, has that path.
    """
    target = to.resolve()
    if target.exists() and not target.is_file():
        raise UsageError(f"{to} is not a file; name a file with --out")
    return target


def cannot_write(to: Path, error: OSError) -> PoselineError:
    """The error to raise where a file of results cannot be written."""
    if error.errno in _DISK_ERRORS:
        return PoselineError(f"{to} cannot be written: {error.strerror}; make room, or choose another disk with --out")
    return UsageError(f"{to} cannot be written: {error.strerror}; choose another with --out")


def _write(
    system: System, result: RunResult, form: Format, poses: IO[bytes], empty: IO[bytes], progress: Progress
) -> Tally:
    tally = Tally()
    writer = writer_of(result, form, poses, empty)
    progress.total(len(result.index))
    for _ in iter_pass(result.iter_rows(system), (writer, tally)):
        progress.advance()
    writer.close()
    return tally


def writer_of(result: RunResult, form: Format, poses: IO[bytes], empty: IO[bytes]) -> FrameWriter:
    time_base, names = result.index.time_base, result.run.model.keypoint_names
    if form == "jsonl":
        return JsonLines(poses, time_base)
    if form == "csv":
        return Csv(poses, empty, time_base, names)
    from pipeline.services.parquet_writer import Parquet  # noqa: PLC0415 - pyarrow, 30 MiB

    return Parquet(poses, empty, time_base, names, about(result.run, result.video))
