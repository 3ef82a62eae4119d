"""The tables. Migrations create them."""

from __future__ import annotations

from pipeline.db.tables.columns import metadata
from pipeline.db.tables.keeping import erased_source, erasure, erasure_item, frame_removal, retention
from pipeline.db.tables.processes import pressure, state_transition, worker, worker_death
from pipeline.db.tables.schedules import pass_, schedule
from pipeline.db.tables.versions import comparison, promotion
from pipeline.db.tables.watches import watch, watch_hint
from pipeline.db.tables.work import CONTENT_INDEX, chunk, frame, lane, model, run, team, video

__all__ = [
    "CONTENT_INDEX",
    "chunk",
    "comparison",
    "erased_source",
    "erasure",
    "erasure_item",
    "frame",
    "frame_removal",
    "lane",
    "metadata",
    "model",
    "pass_",
    "pressure",
    "promotion",
    "retention",
    "run",
    "schedule",
    "state_transition",
    "team",
    "video",
    "watch",
    "watch_hint",
    "worker",
    "worker_death",
]
