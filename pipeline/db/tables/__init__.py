"""The tables. Migrations create them."""

from __future__ import annotations

from pipeline.db.tables.accounts import (
    account,
    api_key,
    audit,
    identity,
    membership,
    oidc_sign_in,
    one_time_link,
    share,
    sign_in_failure,
    web_session,
)
from pipeline.db.tables.columns import metadata
from pipeline.db.tables.derived import proxy
from pipeline.db.tables.keeping import erased_source, erasure, erasure_item, frame_removal, retention
from pipeline.db.tables.live import live_process, live_session
from pipeline.db.tables.processes import pressure, state_transition, worker, worker_death
from pipeline.db.tables.schedules import pass_, schedule
from pipeline.db.tables.uploads import upload, upload_part
from pipeline.db.tables.versions import comparison, promotion
from pipeline.db.tables.watches import watch, watch_hint
from pipeline.db.tables.webhooks import webhook, webhook_delivery
from pipeline.db.tables.work import CONTENT_INDEX, chunk, frame, lane, model, run, run_request, team, video

__all__ = [
    "CONTENT_INDEX",
    "account",
    "api_key",
    "audit",
    "chunk",
    "comparison",
    "erased_source",
    "erasure",
    "erasure_item",
    "frame",
    "frame_removal",
    "identity",
    "lane",
    "live_process",
    "live_session",
    "membership",
    "metadata",
    "model",
    "oidc_sign_in",
    "one_time_link",
    "pass_",
    "pressure",
    "promotion",
    "proxy",
    "retention",
    "run",
    "run_request",
    "schedule",
    "share",
    "sign_in_failure",
    "state_transition",
    "team",
    "upload",
    "upload_part",
    "video",
    "watch",
    "watch_hint",
    "web_session",
    "webhook",
    "webhook_delivery",
    "worker",
    "worker_death",
]
