"""A run's result files and previews."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask

from pipeline.api.access import CallerOf, SystemOf, TeamOfPath, allow
from pipeline.api.answers import knows
from pipeline.api.head import is_head
from pipeline.api.heavy import one_at_a_time, while_wanted
from pipeline.api.problems import range_outside
from pipeline.core.audit import Action
from pipeline.core.byte_range import RangeOutside, parse_byte_range
from pipeline.core.roles import Role
from pipeline.services.accounts.audit import note_done
from pipeline.services.apart import draw_apart
from pipeline.services.export_stream import (
    ResultFile,
    find_stored,
    iter_result_file,
    open_result,
    read_metadata,
    result_tag,
)
from pipeline.services.runs import get_run
from pipeline.services.system import System
from pipeline.services.thumbnails import Thumbnails
from pipeline.services.upload_steps import printable

router = APIRouter(tags=["exports"])

_RUN = "/teams/{team_id}/runs/{run_id}"
_KEEP = "private, no-cache"
Preview = Literal["picture.jpg", "sheet.png", "video.mp4"]
_TYPES = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "mp4": "video/mp4",
    "png": "image/png",
    "jpg": "image/jpeg",
}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {} for kind in _TYPES.values()}, "description": "The file."},
    206: {"description": "The bytes that `Range` asks for, of a file that is stored."},
    304: {"description": "The client has it."},
    409: {"description": "The run has not ended, or has no frames."},
}


@router.get(f"{_RUN}/exports/{{file}}", response_class=Response, responses=_FILES, **allow(Role.VIEWER))
def get_export(
    system: SystemOf,
    team: TeamOfPath,
    caller: CallerOf,
    request: Request,
    run_id: UUID,
    file: ResultFile,
    byte_range: Annotated[str | None, Header(alias="range")] = None,
) -> Response:
    """A file that `poseline export` writes, of a run that has ended.

    `jsonl`, `csv` and `parquet` are the poses. CSV and Parquet have one row per person per frame; frames without people
    are in `empty_frames.csv` and `empty_frames.parquet`. `metadata.json` describes the run, its model and its keypoints
    by name; its header `Poseline-Missing` says how many frames have no poses, and why.
    """
    result = open_result(system, run_id, team=team.name)
    etag = f'"{result_tag(result, file)}"'
    headers = {"ETag": etag, "Cache-Control": _KEEP, **_named(result.video.name, file)}
    if knows(request, etag):
        return Response(status_code=304, headers=headers)
    if not is_head(request):
        note_done(system, caller, Action.EXPORT_DOWNLOADED, team_id=team.id, subject=str(run_id), file=file)
    media_type = _TYPES[file.rpartition(".")[2]]
    if file == "metadata.json":
        body, missing = read_metadata(system, result)
        return Response(body, headers={**headers, "Poseline-Missing": missing or ""}, media_type=media_type)
    stored = find_stored(system, result, file)
    if stored is None:
        return StreamingResponse(_begun(iter_result_file(system, result, file)), headers=headers, media_type=media_type)
    headers["Accept-Ranges"] = "bytes"
    if_range = request.headers.get("if-range")
    try:
        asked = parse_byte_range(byte_range if if_range in {None, etag} else None, stored.size_bytes)
    except RangeOutside:
        return range_outside(stored.size_bytes, headers)
    first, stop = asked or (0, stored.size_bytes)
    if asked is not None:
        headers["Content-Range"] = f"bytes {first}-{stop - 1}/{stored.size_bytes}"
    headers["Content-Length"] = str(stop - first)
    pieces = system.store.iter_range(stored, first, stop)
    return StreamingResponse(_begun(pieces), 206 if asked else 200, headers, media_type)


@router.get(f"{_RUN}/previews/{{file}}", response_class=Response, responses=_FILES, **allow(Role.VIEWER))
async def get_preview(request: Request, system: SystemOf, team: TeamOfPath, run_id: UUID, file: Preview) -> Response:
    """The skeletons drawn on the video, on a contact sheet, or on one small picture, of a run that has ended.

    Each is drawn when it is asked for; a video takes about as long as it is. Whoever closes the connection ends the
    drawing. `Poseline-Notes` says what is different.
    """
    return await while_wanted(request, partial(_draw, request, system, run_id, file, team.name))


def _draw(request: Request, system: System, run_id: UUID, file: Preview, team: str, gone: threading.Event) -> Response:
    name = printable(get_run(system, run_id, team=team).run.video)
    ending = file.rpartition(".")[2]
    named = {} if file == "picture.jpg" else _named(name, f"preview.{ending}")
    if is_head(request):
        open_result(system, run_id, team=team)
        return StreamingResponse(iter(()), headers=named, media_type=_TYPES[ending])
    if file == "picture.jpg":
        pictures: Thumbnails = request.app.state.thumbnails
        return Response(pictures.of_run(system, run_id, team=team), media_type=_TYPES[ending])
    folder = TemporaryDirectory(prefix="poseline-preview-")
    path = Path(folder.name, file)
    try:
        with one_at_a_time(gone):
            notes = draw_apart(system, run_id, path, team=team, gone=gone)
    except BaseException:
        folder.cleanup()
        raise
    headers = {"Poseline-Notes": json.dumps(notes), **named}
    return FileResponse(path, headers=headers, media_type=_TYPES[ending], background=BackgroundTask(folder.cleanup))


def _named(video: str, ending: str) -> dict[str, str]:
    """The name under which a browser saves a file."""
    stem = Path(printable(video)).stem or "video"
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{stem}.{ending}', safe='')}"}


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes, of which the first were read: what is wrong with them is known before the answer begins."""
    return chain([next(pieces, b"")], pieces)
