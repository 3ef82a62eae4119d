"""Complete uploads whose parts are all there, and remove those that nobody went on with."""

from __future__ import annotations

from pipeline.db.engine import transaction
from pipeline.db.part_uploads import select_idle, select_sent, select_untidy
from pipeline.errors import PoselineError, ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.services.system import System
from pipeline.services.upload_steps import forget_upload
from pipeline.services.uploads.complete import complete_upload

log = get_logger(__name__)

#: Who sent the last part asks for the upload to be completed, unless the browser was closed or a server ended.
_LEFT_S = 30.0
_AT_ONCE = 10


def complete_sent_uploads(system: System) -> None:
    """Complete uploads all of whose parts are stored, where nobody else does."""
    with transaction(system.engine) as connection:
        sent = select_sent(connection, _LEFT_S, _AT_ONCE) + select_untidy(connection, _AT_ONCE)
    for upload_id in sent:
        try:
            complete_upload(system, upload_id, None)
        except ServiceUnavailable:
            raise
        except PoselineError as error:  # another may be complete
            log.warning("upload_not_completed", video=str(upload_id), reason=error.message)


def remove_abandoned_uploads(system: System) -> None:
    """Remove the rows and objects of uploads to which nothing happened for long; what cannot be reached now is left
    for the next tick."""
    idle_s = system.settings.upload_expiry_s
    with transaction(system.engine) as connection:
        abandoned = select_idle(connection, idle_s)
    for video_id, key in abandoned:
        if forget_upload(system, video_id, key, idle_s=idle_s):
            log.warning("upload_removed", video=str(video_id), reason="it was never completed")
