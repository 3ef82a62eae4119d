"""The report of an ingest: one line per video, written as soon as its end is known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import TracebackType

from pipeline.errors import OwnPreview, PoselineError, UsageError, VideoRejected
from pipeline.services.to_take_in import Item, TakenIn

ENDINGS = (".jsonl", ".csv")
FIELDS = ("path", "team", "video", "video_id", "run_id", "state", "reason")


def state_of(item: Item, result: TakenIn | PoselineError) -> str:
    """What became of a video: `uploaded`, `registered` (an object, read in place), `known` (the team has it already),
    `refused` (it cannot be analysed), `skipped` (a preview that Poseline drew), or `failed`."""
    if isinstance(result, TakenIn):
        return "known" if result.known_as is not None else "registered" if item.is_object else "uploaded"
    if isinstance(result, OwnPreview):
        return "skipped"
    return "refused" if isinstance(result, VideoRejected) else "failed"


def facts_of(item: Item, result: TakenIn | PoselineError) -> dict[str, str | None]:
    """One line of the report, by `FIELDS`."""
    taken = result if isinstance(result, TakenIn) else None
    return {
        "path": item.location,
        "team": item.team,
        "video": item.shown_name,
        "video_id": str(taken.video_id) if taken else None,
        "run_id": str(taken.run.run_id) if taken and taken.run else None,
        "state": state_of(item, result),
        "reason": result.message if isinstance(result, PoselineError) else None,
    }


class IngestReport:
    """Writes the report, as CSV or JSON Lines by the file's ending; a report of that name is written anew.

    Raises:
        UsageError: it has another ending, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._is_csv = path.suffix.lower() == ".csv"
        if path.suffix.lower() not in ENDINGS:
            raise UsageError(f"{path} is no name of a report: end it in {' or '.join(ENDINGS)}")
        try:
            # Names that are no UTF-8 are shown as such; each line is there as soon as it is written.
            self._file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="", buffering=1)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}; choose another --report") from error
        self._csv = csv.DictWriter(self._file, FIELDS)
        if self._is_csv:
            self._csv.writeheader()

    def add(self, item: Item, result: TakenIn | PoselineError) -> None:
        """Write what became of one video."""
        facts = facts_of(item, result)
        if self._is_csv:
            self._csv.writerow(facts)
        else:
            self._file.write(json.dumps(facts) + "\n")

    def __enter__(self) -> IngestReport:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()
