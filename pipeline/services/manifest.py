"""A manifest: a CSV or JSON Lines file that names videos, with their teams, names and tags."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.tags import Tags, checked_tags, parse_tags
from pipeline.errors import PoselineError, UsageError
from pipeline.services.upload_steps import check_team, printable

ENDINGS = (".csv", ".jsonl")
COLUMNS = ("path", "team", "name", "tags")
MAX_NAME_CHARACTERS = 255
_SHOWN_ERRORS = 5


@dataclass(frozen=True)
class ManifestRow:
    """One video of a manifest.

    Args:
        line: of the file, from 1.
        location: a path, or `s3://bucket/key`.
        team, name: None where the row says nothing.
    """

    line: int
    location: str
    team: str | None
    name: str | None
    tags: Tags


def is_manifest(path: str) -> bool:
    """Whether a path names a manifest, by its ending."""
    return path.lower().endswith(ENDINGS) and "://" not in path


def read_manifest(path: Path) -> list[ManifestRow]:
    """The rows of a manifest; relative paths are relative to its folder.

    Raises:
        UsageError: it cannot be read, or a row is wrong; the message names the lines.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path} is no manifest: its name must end in {' or '.join(ENDINGS)}")
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}; check the path") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not in UTF-8; save it as “CSV UTF-8”") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    records = _csv_records(text) if path.suffix.lower() == ".csv" else _json_records(text)
    rows: list[ManifestRow] = []
    errors: list[tuple[int, str]] = []
    seen: dict[tuple[str, str | None], int] = {}
    try:
        for line, record in records:
            try:
                row = _row(line, record, path.parent)
                first = seen.setdefault((real_location(row.location), row.team), line)
                if first != line:
                    raise ValueError(f"{row.location} is in line {first} already")
                rows.append(row)
            except (ValueError, PoselineError) as error:
                errors.append((line, str(error)))
    except _Malformed as error:
        errors.append((error.line, str(error)))
    if errors:
        raise manifest_errors(path, errors)
    if not rows:
        raise UsageError(f"{path} names no video; write one a line, below the heading {','.join(COLUMNS)}")
    return rows


def manifest_errors(path: Path, errors: Sequence[tuple[int, str]]) -> UsageError:
    """One error for all wrong lines of a manifest."""
    shown = "; ".join(f"line {line}: {what}" for line, what in errors[:_SHOWN_ERRORS])
    more = f"; and {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
    return UsageError(f"{path}: {shown}{more}; nothing was uploaded")


def real_location(location: str) -> str:
    """What a path or URL names, however it is written."""
    return location if location.startswith("s3://") else os.path.realpath(location)


class _Malformed(Exception):
    """The rest of a file cannot be read."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def _csv_records(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    heading = text.partition("\n")[0]
    # What a spreadsheet writes depends on its country.
    delimiter = max(",;\t", key=heading.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            line = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(line, cells)
            elif len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
                raise _Malformed(line, f"{len(cells)} cells below {len(columns)} headings; put commas in quotes")
            else:
                yield line, {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
    except csv.Error as error:
        raise _Malformed(reader.line_num, f"is no CSV ({error})") from error


def _columns(line: int, cells: Sequence[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    _check_names(line, [name for name in columns if name])
    if "path" not in columns:
        raise _Malformed(line, f"is no heading with a column path; there are {', '.join(COLUMNS)}")
    return columns


def _json_records(text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            record = json.loads(part)
        except ValueError as error:
            raise _Malformed(line, f"is no JSON ({error})") from error
        if not isinstance(record, dict):
            raise _Malformed(line, f"is no object with {', '.join(COLUMNS)}")
        _check_names(line, list(record))
        yield line, record


def _check_names(line: int, names: Sequence[str]) -> None:
    for name in names:
        if name not in COLUMNS:
            raise _Malformed(line, f"there is no column {printable(name)!r}; there are {', '.join(COLUMNS)}")
    if len(set(names)) != len(names):
        raise _Malformed(line, "a column is there twice")


def _row(line: int, record: Mapping[str, Any], folder: Path) -> ManifestRow:
    """
    Raises:
        ValueError, UsageError: a value makes no sense.
    """
    path, team, name = (_text(record, column) for column in COLUMNS[:3])
    if path is None:
        raise ValueError("there is no path")
    if team is not None:
        check_team(team)
    if name is not None and (len(name) > MAX_NAME_CHARACTERS or not name.isprintable()):
        raise ValueError(f"the name must have 1 to {MAX_NAME_CHARACTERS} printable characters")
    if path.lower().startswith("s3://"):
        location = f"s3://{path[5:]}"
        if path.endswith("/"):
            raise ValueError(f"{path} is a folder; a manifest names videos")
        if not all(path[5:].partition("/")):
            raise ValueError(f"{path} is not of the form s3://bucket/key")
    elif "://" in path:
        raise ValueError(f"{path}: only files and s3://bucket/key can be taken in; download it first")
    else:
        location = str(folder / path)
        if not Path(location).exists():
            raise ValueError(f"there is no file {location}")
        if not Path(location).is_file():
            raise ValueError(f"{location} is not a file; a manifest names videos")
    return ManifestRow(line, location, team, name, _tags(record.get("tags")))


def _text(record: Mapping[str, Any], column: str) -> str | None:
    value = record.get(column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"the {column} is no text")
    return value


def _tags(value: object) -> Tags:
    """Tags as `key=value; key=value`, or as an object by key."""
    if isinstance(value, dict):
        return checked_tags(value)
    if value is not None and not isinstance(value, str):
        raise ValueError("the tags are neither an object nor a text key=value; key=value")
    return parse_tags(part for part in (value or "").split(";") if part.strip())
