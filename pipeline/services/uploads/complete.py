"""Complete an upload: one object of its parts, then a video that is stored and has its run.

Each step can be repeated, so that a kill between any two leaves nothing that the next call does not finish.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pipeline.core.audit import Action
from pipeline.core.model_spec import ModelSpec
from pipeline.core.objects import StoredObject
from pipeline.core.states import VideoState
from pipeline.core.upload_parts import multipart_etag
from pipeline.db import part_uploads as db
from pipeline.db.audit import insert_audit
from pipeline.db.engine import transaction
from pipeline.db.models import select_model_spec
from pipeline.db.part_uploads import PartRow, UploadRow
from pipeline.db.uploads import lock_upload
from pipeline.errors import NotFound, PartsMissing, PoselineError, ServiceUnavailable
from pipeline.logs import get_logger
from pipeline.services.registration import Arrived, Registration
from pipeline.services.system import System
from pipeline.services.uploads.parts import forgotten
from pipeline.storage.multipart import UploadGone
from pipeline.storage.store_errors import ObjectMissing

log = get_logger(__name__)

_SHOWN = 10


@dataclass(frozen=True)
class Completed:
    """The video that an upload became, and its run.

    Args:
        problem: why it has no run; empty where it has one.
    """

    video_id: UUID
    state: VideoState
    run_id: UUID | None
    problem: str = ""


def complete_upload(system: System, upload_id: UUID, team_id: UUID | None) -> Completed:
    """Complete an upload; again, the same answer.

    Args:
        team_id: whose upload it must be; None for any.

    Raises:
        NotFound: there is no such upload.
        PartsMissing: not all parts are stored, or the store has lost some.
        ServiceUnavailable: a server does not answer; repeat it, or beat does.
    """
    with transaction(system.engine) as connection:
        row = db.select_upload(connection, upload_id, team_id)
    problem = ""
    if row.is_open:
        stored, sha256 = _assemble(system, row)
        if stored is not None:
            problem = _register(system, row, stored, sha256)
    with transaction(system.engine) as connection:
        if db.delete_parts_of_complete(connection, row.id):
            insert_audit(
                connection,
                Action.VIDEO_UPLOADED,
                team_id=row.team_id,
                account_id=row.account_id,
                actor=row.actor,
                subject=str(row.id),
                detail={"size_bytes": row.size_bytes},
            )
        after = db.select_upload(connection, upload_id, team_id)
        run_id = db.find_run(connection, row.id, row.model_fingerprint)
    # Uploads that this process or another began in the store for the same object, and was killed.
    system.store.parts.abort_all(row.key)
    return Completed(row.id, after.state, run_id, problem)


def _assemble(system: System, row: UploadRow) -> tuple[StoredObject | None, str | None]:
    """The object made of the parts, and its SHA-256 where that is known; None where somebody else has completed it.

    The video is locked meanwhile, so that an upload is not given up while its object appears.
    """
    try:
        with transaction(system.engine) as connection:
            if not lock_upload(connection, row.id):
                return None, None
            row = db.select_upload(connection, row.id, None)
            parts = db.select_parts(connection, row.id)
            _check_whole(row, parts)
            stored = _one_object(system, row, parts)
    except UploadGone as error:
        raise forgotten(system, row) from error
    expected = multipart_etag([part.etag for part in parts])
    if stored.size_bytes != row.size_bytes or (expected is not None and stored.etag != expected):
        log.error("upload_damaged", video=str(row.id), etag=stored.etag, expected=expected, size=stored.size_bytes)
        system.store.delete(row.key)
        raise forgotten(system, row)
    return stored, parts[0].sha256 if len(parts) == 1 else None


def _one_object(system: System, row: UploadRow, parts: list[PartRow]) -> StoredObject:
    if row.store_upload_id is None:
        raise UploadGone
    try:
        system.store.parts.complete(row.key, row.store_upload_id, [(part.number, part.etag) for part in parts])
    except UploadGone:
        # Completed before, by somebody who then could not say so: some stores forget an upload at once.
        try:
            return system.store.head(row.key)
        except ObjectMissing:
            raise UploadGone from None
    return system.store.head(row.key)


def _check_whole(row: UploadRow, parts: list[PartRow]) -> None:
    missing = sorted(set(range(1, row.parts + 1)) - {part.number for part in parts})
    if missing:
        shown = ", ".join(str(number) for number in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise PartsMissing(f"parts {shown}{more} of {row.parts} are missing; send them, then complete the upload")


def _register(system: System, row: UploadRow, stored: StoredObject, sha256: str | None) -> str:
    """Mark the video as stored, and request its run. Returns why it has none."""
    spec = _spec_of(system, row)
    arrived = Arrived(row.id, known=False, stored=stored, sha256=sha256)
    try:
        Registration.with_prepared(system, spec).complete(arrived)
    except (ServiceUnavailable, NotFound):
        with transaction(system.engine) as connection:
            if db.select_upload(connection, row.id, None).is_open:
                raise
    except PoselineError as error:  # the video is there; only its run is refused
        with transaction(system.engine) as connection:
            if db.select_upload(connection, row.id, None).is_open:
                raise
        log.warning("run_refused", video=str(row.id), reason=error.message)
        return error.message
    return ""


def _spec_of(system: System, row: UploadRow) -> ModelSpec | None:
    if row.model_fingerprint is None:
        return None
    with transaction(system.engine) as connection:
        return ModelSpec.from_dict(select_model_spec(connection, row.model_fingerprint))
