"""Remove objects of our own that nothing needs: rejected uploads, and exports of runs without results."""

from __future__ import annotations

from pipeline.db.backups import may_remove_objects
from pipeline.db.engine import transaction
from pipeline.db.run_ends import mark_export_removed, select_orphaned_exports
from pipeline.db.uploads import mark_object_gone, select_rejected_objects
from pipeline.services.system import System

#: An export may still be on its way while its run is being ended.
_EXPORT_KEPT_S = 3600.0


def remove_orphaned_objects(system: System) -> None:
    """Delete each, then note that it is gone. A backup that is being made keeps them until it has ended."""
    with transaction(system.engine) as connection:
        if not may_remove_objects(connection):
            return
        rejected = select_rejected_objects(connection, system.settings.rejected_keep_s)
        exports = select_orphaned_exports(connection, _EXPORT_KEPT_S)
    for video_id, key in rejected:
        system.store.delete(key)
        with transaction(system.engine) as connection:
            mark_object_gone(connection, video_id)
    for run_id, key in exports:
        system.store.delete(key)
        with transaction(system.engine) as connection:
            mark_export_removed(connection, run_id)
