"""Remove what is older than the rules keep it, in small steps, each in a transaction of its own.

Only objects that Poseline stored itself are removed, with every version; what a user's own bucket holds never is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from pipeline.core.object_keys import export_key, run_folder, run_thumbnail_key, thumbnail_key
from pipeline.core.progress import SILENT, Progress
from pipeline.core.retention import Kind
from pipeline.db import outlived_removal as db
from pipeline.db.backups import may_remove_objects
from pipeline.db.engine import transaction
from pipeline.db.outlived import count_outlived, select_outlived
from pipeline.db.proxies import forget_proxy
from pipeline.db.retention import Rule, claim_due_rule, look_again, select_rules
from pipeline.errors import ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.services.frame_removal import remove_frames
from pipeline.services.system import System
from pipeline.services.teams import require_team

log = get_logger(__name__)

_BATCH = 50
#: What is left is looked for so often; what a sweep began and could not end, because a server was away, after that.
_LOOK_AGAIN_S, _AFTER_OUTAGE_S = 3600.0, 600.0


def sweep_outlived(system: System, until: float) -> None:
    """Apply the rules that are due, until that time of `time.monotonic`."""
    while time.monotonic() < until:
        with transaction(system.engine) as connection:
            rule = claim_due_rule(connection, _AFTER_OUTAGE_S)
        if rule is None:
            return
        removed = apply_rule(system, rule, until=until)
        if removed:
            log.info("retention", team=rule.team, kind=str(rule.kind), days=rule.days, removed=removed)
        with transaction(system.engine) as connection:
            look_again(connection, rule, _LOOK_AGAIN_S if time.monotonic() < until else 0.0)


def run_retention(
    system: System, team: str | None = None, progress: Progress = SILENT
) -> Mapping[tuple[str, Kind], int]:
    """Apply the rules of every team, or of one, to the end. Returns how many of each kind were removed, by team.

    `progress` counts what is removed, and then the frames that went with it.

    Raises:
        UnknownTeam: there is no such team.
    """
    if team is not None:
        require_team(system, team)
    removed: Counter[tuple[str, Kind]] = Counter()
    with transaction(system.engine) as connection:
        rules = select_rules(connection, team)
        counts = [count_outlived(connection, rule, 0) for rule in rules]
    progress.total(sum(count.number + count.frames for count in counts))
    for rule in rules:
        removed[rule.team, rule.kind] = apply_rule(system, rule, progress=progress)
    remove_frames(system, progress=progress)
    return removed


def apply_rule(system: System, rule: Rule, *, until: float | None = None, progress: Progress = SILENT) -> int:
    """Remove what one rule does not keep. Returns how many were removed.

    Args:
        until: stop at this time of `time.monotonic`.
    """
    removed = 0
    refused: set[UUID] = set()
    while until is None or time.monotonic() < until:
        if rule.kind is Kind.AUDIT:
            with transaction(system.engine) as connection:
                gone = db.delete_audit(connection, rule)
            progress.advance(gone)
            removed += gone
            if not gone:
                return removed
            continue
        with transaction(system.engine) as connection:
            found = [each for each in select_outlived(connection, rule, _BATCH + len(refused)) if each not in refused]
        for each in found:
            if _remove(system, rule, each):
                progress.advance()
                removed += 1
            else:
                refused.add(each)
            if until is not None and time.monotonic() >= until:
                return removed
        if not found:
            return removed
    return removed


def _remove(system: System, rule: Rule, which: UUID) -> bool:
    """Remove one original, copy, export or run. Its row is locked until its object is gone; one that dies in between
    leaves a row whose object is removed again.

    Raises:
        ServiceUnavailable: a backup is being made, or a server does not answer.
    """
    with transaction(system.engine) as connection:
        if not may_remove_objects(connection):
            raise ServiceUnavailable("a backup is being made, which keeps every object; try again when it has ended")
        if rule.kind is Kind.ORIGINALS:
            original = db.lock_original(connection, rule, which)
            if original is None:
                return False
            system.store.versions.remove(original.bucket, original.key)
            pictures = [thumbnail_key(rule.team_id, which), *map(run_thumbnail_key, db.select_runs(connection, which))]
            for picture in pictures:
                system.store.versions.remove(system.store.bucket, picture)
            db.mark_original_removed(connection, which)
            return True
        if rule.kind is Kind.PROXIES:
            key = db.lock_proxy(connection, rule, which)
            if key is None:
                return False
            system.store.versions.remove(system.store.bucket, key)
            forget_proxy(connection, which)
            return True
        if not db.lock_run(connection, rule, which):
            return False
        if rule.kind is Kind.EXPORTS:
            system.store.versions.remove(system.store.bucket, export_key(which))
            db.mark_export_outlived(connection, which)
        else:
            system.store.versions.remove(system.store.bucket, run_folder(which))
            db.delete_run(connection, which)
        return True
