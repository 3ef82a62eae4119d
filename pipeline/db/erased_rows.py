"""Delete the rows of one video, or of a team, for good.

Rows are locked in the order in which workers lock them (chunks, runs, video), so a commit that is under way ends
before, and one that comes later finds its lease gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, delete, or_, select, text, update

from pipeline.core.object_keys import proxy_key, restored_video_key, run_folder, thumbnail_key, video_key
from pipeline.db.account_changes import delete_account, select_members_of_no_other
from pipeline.db.audit import forget_account
from pipeline.db.erased_sources import TeamObject, note_erased_source
from pipeline.db.erasures import Item
from pipeline.db.one_time_links import delete_links_to
from pipeline.db.tables import (
    api_key,
    audit,
    chunk,
    comparison,
    live_session,
    membership,
    one_time_link,
    pass_,
    promotion,
    retention,
    run,
    schedule,
    team,
    video,
    watch,
)


@dataclass(frozen=True)
class Gone:
    """What was deleted: rows by kind, and what is still to be done because of it."""

    rows: Mapping[str, int] = field(default_factory=dict)
    items: tuple[Item, ...] = ()


def delete_video(connection: Connection, video_id: UUID, bucket: str) -> Gone:
    """Delete one video with all that belongs to it, in the caller's transaction; nothing where it is gone already.

    Raises:
        IntegrityError: a run or a duplicate of it came in meanwhile; to be tried again.
    """
    runs = list(connection.execute(select(run.c.id).where(run.c.video_id == video_id).order_by(run.c.id)).scalars())
    for run_id in runs:
        chunks = select(chunk.c.idx).where(chunk.c.run_id == run_id).order_by(chunk.c.idx)
        connection.execute(chunks.with_for_update())
    connection.execute(select(run.c.id).where(run.c.id.in_(runs)).order_by(run.c.id).with_for_update())
    names = ("team_id", "bucket", "object_key", "etag", "size_bytes", "owned", "other_names", "tags")
    held = select(*(video.c[name] for name in names))
    row = connection.execute(held.where(video.c.id == video_id).with_for_update()).first()
    if row is None:
        return Gone()
    same = select(video.c.id).where(video.c.duplicate_of == video_id).order_by(video.c.id)
    duplicates = list(connection.execute(same).scalars())
    if duplicates:  # they go first: this one is found again after them
        return Gone(items=tuple(Item("video", str(each)) for each in duplicates))
    counts: Counter[str] = Counter()
    connection.execute(update(video).where(video.c.id == video_id).values(current_run_id=None))
    of_runs = or_(comparison.c.run_id.in_(runs), comparison.c.against_run_id.in_(runs))
    counts["comparisons"] = connection.execute(delete(comparison).where(of_runs)).rowcount
    counts["promotions"] = connection.execute(delete(promotion).where(promotion.c.video_id == video_id)).rowcount
    counts["chunks"] = connection.execute(delete(chunk).where(chunk.c.run_id.in_(runs))).rowcount
    counts["runs"] = connection.execute(delete(run).where(run.c.id.in_(runs))).rowcount
    counts["names"] = 1 + len(row.other_names)
    counts["tags"] = len(row.tags)
    if not row.owned:
        note_erased_source(connection, TeamObject(row.team_id, row.bucket, row.object_key, row.etag, row.size_bytes))
    _forget_in_logs(connection, row.team_id, video_id, runs)
    counts["videos"] = connection.execute(delete(video).where(video.c.id == video_id)).rowcount
    is_last = not row.owned and not _is_used(connection, row.bucket, row.object_key, team_id=row.team_id)
    counts["registered_objects_left"] = int(is_last)
    keys = {(bucket, video_key(row.team_id, video_id)), (bucket, restored_video_key(video_id))}
    keys |= {(bucket, key(row.team_id, video_id)) for key in (proxy_key, thumbnail_key)}
    keys |= {(bucket, run_folder(run_id)) for run_id in runs}
    if row.owned and not _is_used(connection, row.bucket, row.object_key):
        keys.add((row.bucket, row.object_key))
    items = [Item("object", key, of) for of, key in sorted(keys)] + [Item("run", str(each)) for each in runs]
    return Gone({name: number for name, number in counts.items() if number}, tuple(items))


def select_team_videos(connection: Connection, team_id: UUID) -> list[UUID]:
    """Every video of a team."""
    return list(connection.execute(select(video.c.id).where(video.c.team_id == team_id).order_by(video.c.id)).scalars())


def delete_team(connection: Connection, team_id: UUID) -> Gone:
    """Delete a team that has no videos any more, with all that belongs to it.

    Accounts that were in no other team go with it, but those that make teams.

    Raises:
        IntegrityError: a video of it came in meanwhile; to be tried again.
    """
    counts: Counter[str] = Counter()
    connection.execute(select(team.c.id).where(team.c.id == team_id).with_for_update())
    passes = select(pass_.c.id).where(pass_.c.team_id == team_id)
    connection.execute(update(run).where(run.c.pass_id.in_(passes)).values(pass_id=None))
    for only_here in select_members_of_no_other(connection, team_id):
        delete_links_to(connection, only_here.email)
        forget_account(connection, only_here.id, only_here.email)
        delete_account(connection, only_here.id)
        counts["accounts"] += 1
    tables = (
        *(("rules", retention), ("passes", pass_), ("schedules", schedule), ("watches", watch)),
        *(("members", membership), ("links", one_time_link), ("keys", api_key), ("audit", audit)),
        ("live sessions", live_session),
    )
    for name, table in tables:
        counts[name] = connection.execute(delete(table).where(table.c.team_id == team_id)).rowcount
    counts["teams"] = connection.execute(delete(team).where(team.c.id == team_id)).rowcount
    return Gone({name: number for name, number in counts.items() if number})


def _is_used(connection: Connection, bucket: str, key: str, *, team_id: UUID | None = None) -> bool:
    """Whether another video, or another one of this team, reads the same object."""
    used = select(video.c.id).where(video.c.object_key == key, video.c.bucket == bucket)
    if team_id is not None:
        used = used.where(video.c.team_id == team_id)
    return connection.execute(used.limit(1)).first() is not None


_FORGET_DEATHS = text("""
UPDATE worker_death
SET held = ARRAY(
    SELECT name FROM unnest(held) AS name WHERE split_part(name, '/', 1) <> ALL (CAST(:ids AS text[])) ORDER BY name
)
WHERE EXISTS (SELECT FROM unnest(held) AS name WHERE split_part(name, '/', 1) = ANY (CAST(:ids AS text[])))
""")

_FORGET_GIVEN = text("UPDATE pass SET video_ids = array_remove(video_ids, :id) WHERE :id = ANY (video_ids)")
_FORGET_REPORTS = text("""
UPDATE pass SET result = NULL
WHERE result IS NOT NULL
    AND EXISTS (SELECT FROM unnest(CAST(:ids AS text[])) AS known (id) WHERE strpos(pass.result::text, id) > 0)
""")


def _forget_in_logs(connection: Connection, team_id: UUID, video_id: UUID, runs: list[UUID]) -> None:
    """Take a video out of rows that are not its own: deaths of workers, passes that were given it or report it, and
    who did what, of which when and by whom stays."""
    ids = [str(each) for each in (video_id, *runs)]
    connection.execute(_FORGET_DEATHS, {"ids": ids})
    connection.execute(
        update(audit).where(audit.c.team_id == team_id, audit.c.subject.in_(ids)).values(subject="", detail={})
    )
    connection.execute(_FORGET_GIVEN, {"id": video_id})
    connection.execute(_FORGET_REPORTS, {"ids": ids})
