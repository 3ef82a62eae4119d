"""The mark in the metadata of every video that Poseline draws, by which it is never taken for new footage."""

from __future__ import annotations

from uuid import UUID

_PREFIX = "Poseline preview of run "


def preview_tag(run_id: UUID) -> str:
    """The comment that is written into a preview of a run."""
    return f"{_PREFIX}{run_id}"


def read_preview_tag(comment: str) -> UUID | None:
    """The run that a file with this comment is a preview of; None for any other comment."""
    if not comment.startswith(_PREFIX):
        return None
    try:
        return UUID(comment.removeprefix(_PREFIX).strip())
    except ValueError:
        return None
