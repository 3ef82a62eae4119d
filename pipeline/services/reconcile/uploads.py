"""Remove uploads that a client began and never completed."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.db.uploads import select_abandoned_uploads
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.upload_steps import forget_upload

log = get_logger(__name__)


def remove_abandoned_uploads(system: System) -> None:
    """Remove their rows and objects; what cannot be reached now is left for the next tick."""
    with transaction(system.engine) as connection:
        abandoned = select_abandoned_uploads(connection, system.settings.upload_expiry_s)
    for video_id, key in abandoned:
        if forget_upload(system, video_id, key):
            log.warning("upload_removed", video=str(video_id), reason="it was never completed")
