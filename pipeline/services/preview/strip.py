"""The picture of what changed from one run to another: the frames that changed most, with the skeletons of both."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.core.comparison_figures import ChangedFrame
from pipeline.core.files import write_atomically
from pipeline.core.preview_tag import comparison_tag, is_comparison_of, with_comment
from pipeline.core.progress import SILENT, Progress
from pipeline.db.frames import FrameRow, iter_frame_rows
from pipeline.errors import RunFailed, UsageError
from pipeline.services.compare import RunComparison
from pipeline.services.export import cannot_write, checked_target
from pipeline.services.preview.footage import open_footage
from pipeline.services.preview.people import COLOURS, Image, draw_people, resized
from pipeline.services.runs import short_id
from pipeline.services.system import System

ENDINGS = (".jpg", ".jpeg", ".png")
#: BGR of the skeletons of the earlier run and of the later one.
BEFORE, AFTER = COLOURS[0], COLOURS[4]
WIDTH_PX = 1920
_WIDE_COLUMNS, _UPRIGHT_COLUMNS = 4, 6
_JPEG_QUALITY = 88
_BORDER_PX, _LEGEND_PX, _LABEL_PX = 3, 36, 44
#: Around the people who changed there is so much of their size, and at least this share of the frame is shown.
_MARGIN, _LEAST_SHARE = 0.5, 0.3
#: Drawn at so many times the size, so that thin lines and small joints come out smooth.
_FINER = 2
_WHITE, _GREY = (255, 255, 255), (40, 40, 40)


def draw_strip(
    system: System, comparison: RunComparison, to: Path, *, team: str | None, progress: Progress = SILENT
) -> tuple[str, ...]:
    """Write the frames that changed most as one picture (`.jpg`, `.png`), each cut to where the change is.

    Returns what is not in it; the file is not written where nothing changed. `progress` counts frames.

    Raises:
        UsageError: another ending, the file cannot be written, or it exists and is no picture of these two runs.
        RunFailed: none of the frames can be decoded.
        SourceGone: the stored video changed or went away.
    """
    ending = to.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{to.name} must end in .jpg or .png")
    target = checked_target(to)
    runs = comparison.before.id, comparison.after.id
    try:
        if target.exists() and not is_comparison_of(target, *runs):
            raise UsageError(f"{to.name} exists and is no comparison of these runs; choose another name with --out")
        if not comparison.figures.changed_most:
            return ("nothing changed, so there is no picture",)
        picture, notes = _draw(system, comparison, team, progress)
        done, data = cv2.imencode(
            ending, picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if ending != ".png" else []
        )
        assert done
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, with_comment(data.tobytes(), comparison_tag(*runs)))
    except OSError as error:
        raise cannot_write(to, error) from error
    return notes


def _draw(
    system: System, comparison: RunComparison, team: str | None, progress: Progress
) -> tuple[Image, tuple[str, ...]]:
    footage = open_footage(system, comparison.after.id, team=team)
    changed = comparison.figures.changed_most
    numbers = [each.frame for each in changed]
    before, after = (
        {row.frame: row for row in iter_frame_rows(system.engine, run.id, numbers)}
        for run in (comparison.before, comparison.after)
    )
    wide = footage.video.size[0] >= footage.video.size[1]
    columns = min(_WIDE_COLUMNS if wide else _UPRIGHT_COLUMNS, len(changed))
    width = WIDTH_PX // (_WIDE_COLUMNS if wide else _UPRIGHT_COLUMNS)
    progress.total(len(changed))
    tiles: list[Image] = []
    for each in changed:
        rows = before.get(each.frame), after.get(each.frame)
        frame = None if rows[0] is None or rows[1] is None else footage.frame(rows[1])
        if frame is not None:
            tiles.append(_tile(frame.image, each, rows, comparison, width))
        progress.advance()
    if not tiles:
        raise RunFailed("none of the frames that changed most could be decoded; analyse the video again")
    missing = len(changed) - len(tiles)
    notes = (f"{missing} of {len(changed)} frames are not drawn: they could not be decoded",) if missing else ()
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    lines = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack([_legend(comparison, lines[0].shape[1]), *lines]), notes


def _tile(
    image: Image,
    changed: ChangedFrame,
    rows: tuple[FrameRow | None, FrameRow | None],
    comparison: RunComparison,
    width: int,
) -> Image:
    """A part of a frame with the people of both runs, and a label below it."""
    x1, y1, x2, y2 = _part(image, changed.box_xyxy)
    inner = width - 2 * _BORDER_PX
    height = max(1, round(inner * image.shape[0] / image.shape[1]))
    drawn = resized(np.ascontiguousarray(image[y1:y2, x1:x2]), _FINER * inner, _FINER * height)
    for row, run, colour in zip(rows, (comparison.before, comparison.after), (BEFORE, AFTER), strict=True):
        if row is not None:
            scale = drawn.shape[1] / (x2 - x1)
            draw_people(drawn, row, _skeleton(run.model_json), scale, corner_px=(x1, y1), colour=colour)
    tile = np.full((height + _LABEL_PX, inner, 3), 255, np.uint8)
    tile[:height] = resized(drawn, inner, height)
    parts = [f"{count} {what}" for count, what in ((changed.lost, "lost"), (changed.found, "found")) if count]
    parts += [f"OKS {changed.oks_min:.2f}"] if changed.oks_min is not None else []
    for line, text in enumerate((f"frame {changed.frame}   {changed.time_s:.2f} s", ", ".join(parts))):
        _write(tile, text, (4, height + 17 + 20 * line), _GREY)
    sides = (_BORDER_PX,) * 4
    return cv2.copyMakeBorder(tile, *sides, cv2.BORDER_CONSTANT, value=_WHITE).astype(np.uint8, copy=False)


def _part(image: Image, box_xyxy: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """The part of an image to show, in its proportions: what is around a box, and not too little."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.clip(box_xyxy, 0, (width, height, width, height))
    share = max((x2 - x1) * (1 + 2 * _MARGIN) / width, (y2 - y1) * (1 + 2 * _MARGIN) / height, _LEAST_SHARE)
    wide, high = max(1, round(min(share, 1) * width)), max(1, round(min(share, 1) * height))
    left = int(np.clip((x1 + x2 - wide) / 2, 0, width - wide))
    top = int(np.clip((y1 + y2 - high) / 2, 0, height - high))
    return left, top, left + wide, top + high


def _legend(comparison: RunComparison, width: int) -> Image:
    """A line that says which colour is which run."""
    band = np.full((_LEGEND_PX, width, 3), 255, np.uint8)
    at = 10
    for title, run, colour in (("before", comparison.before, BEFORE), ("after", comparison.after, AFTER)):
        cv2.circle(band, (at + 6, _LEGEND_PX // 2), 6, colour, -1, cv2.LINE_AA)
        text = f"{title}: {run.model_name}, run {short_id(run.id)}"
        _write(band, text, (at + 20, _LEGEND_PX // 2 + 6), _GREY)
        at += 40 + cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)[0][0]
    return band


def _write(image: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _skeleton(model_json: object) -> list[list[int]]:
    """Also of a model that another version of Poseline described in other fields."""
    return list(model_json.get("skeleton") or []) if isinstance(model_json, dict) else []
