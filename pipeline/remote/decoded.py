"""Runs as the API describes them, read back as the services have them: what is printed of both is the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from pipeline.core.objects import StoredObject
from pipeline.core.states import RunState, VideoState
from pipeline.db.chunks import GivenUp
from pipeline.db.promotions import PromotionRow
from pipeline.db.videos import VideoRow
from pipeline.services.runs import Run, RunDetail

#: Of a run that has ended, among its other fields.
_SUMMARY = (
    *("frames", "frames_missing", "frames_with_people", "poses", "most_people", "confidence"),
    *("video_s", "first_time_s", "chunks"),
)


def run_of(found: Mapping[str, Any]) -> Run:
    """A run from the fields of `services.runs.to_dict`."""
    summary = {name: found[name] for name in _SUMMARY if name in found} if "poses" in found else None
    return Run(
        id=UUID(found["run_id"]),
        state=RunState(found["state"]),
        reason=found["reason"],
        lane=found["lane"],
        deadline=_time(found["deadline"]),
        video_id=UUID(found["video_id"]),
        video=found["video"],
        video_state=VideoState(found["video_state"]),
        team=found["team"],
        model_name=found["model"],
        model_fingerprint=found["fingerprint"],
        model_json={},
        notes=found["notes"],
        tags=found["tags"],
        frames=found["frames"],
        video_s=found["video_s"],
        frames_done=found["frames_done"],
        chunks_total=None,
        chunks_pending=None,
        frames_to_decode=found.get("frames_to_decode"),
        summary=summary,
        created_at=datetime.fromisoformat(found["created_at"]),
        started_at=_time(found["started_at"]),
        finished_at=_time(found["finished_at"]),
        paused_at=_time(found["paused_since"]),
        export_removed_at=None,
        promotion=found["promotion"],
        is_current=found["is_current"],
    )


def detail_of(found: Mapping[str, Any]) -> RunDetail:
    """A run in detail from the fields of `RunDetail.to_dict`."""
    run = run_of(found)
    decision = found["decision"]
    return RunDetail(
        run=run,
        video=_video(run, found),
        chunks_by_state=found["chunks_by_state"],
        computed_with=found["computed_with"],
        blocking_reason=found["blocking_reason"],
        suspects=found["chunks_tried_alone"],
        given_up=[GivenUp(**each) for each in found["given_up"]],
        decision=decision
        and PromotionRow(
            id=0,
            at=datetime.fromisoformat(decision["at"]),
            by=decision["by"],
            reason=decision["reason"],
            promoted=decision["promoted"],
            undoes=None,
            run_id=run.id,
            previous_run_id=None,
            model=None,
        ),
        against=found["comparison"],
    )


def _video(run: Run, found: Mapping[str, Any]) -> VideoRow:
    source = found["source"]
    bucket, _, key = (source or "").removeprefix("s3://").partition("/")
    return VideoRow(
        id=run.video_id,
        team=run.team,
        name=run.video,
        state=run.video_state,
        reason=None,
        source=StoredObject(bucket, key, 0, "", None) if source else None,
        owned=True,
        sha256=found["sha256"],
        duplicate_of=None,
        width=found["width"],
        height=found["height"],
        codec=found["codec"],
        container=None,
        time_base=Fraction(found["time_base"]) if found["time_base"] else None,
        frames=run.frames,
        first_pts=found["first_pts"],
        last_pts=None,
        notes=tuple(run.notes),
        tags=run.tags,
        original_removed_at=_time(found["original_removed_at"]),
        source_gone_at=_time(found["source_gone_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
