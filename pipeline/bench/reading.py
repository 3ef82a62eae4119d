"""A report that was kept, and the reasons beside it, read again; what was changed by hand is not believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.bench.agreement import find_disagreement
from pipeline.bench.figures import Figure, NotHere
from pipeline.bench.report import SCHEMA, Report
from pipeline.bench.shape import find_fault
from pipeline.errors import UsageError


def read_report(path: Path) -> Report:
    """What `Report.write` wrote.

    Raises:
        UsageError: it is something else, or its figures are not what their pairs give.
    """
    text = _read(path)
    facts = _facts(path, text)
    if facts.pop("schema", None) != SCHEMA:
        raise UsageError(f"{path} is not of this version's `poseline bench --out`; measure again")
    if fault := find_fault(text):
        raise UsageError(f"{path} is not what `poseline bench --out` wrote ({fault}); measure again")
    figures = tuple(Figure(**{**each, "pairs": tuple(map(tuple, each["pairs"]))}) for each in facts.pop("figures"))
    missing = tuple(NotHere(**each) for each in facts.pop("missing"))
    report = Report(**facts, figures=figures, missing=missing)
    if found := find_disagreement(report.figures, report.pairs):
        raise UsageError(f"{path} {found}; run `poseline bench` again")
    return report


def read_reasons(path: Path) -> dict[str, str]:
    """Why goals were missed, in a person's words; none where there is no such file.

    Raises:
        UsageError: it cannot be read.
    """
    return {str(name): str(words) for name, words in _facts(path, _read(path)).items()} if path.exists() else {}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error})") from error


def _facts(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no facts")
    return found
