"""Use cases against real servers, without worker processes: what an outage, a double or a lost answer must not do."""

from __future__ import annotations

import errno
from pathlib import Path
from uuid import uuid4

import pytest

from pipeline.db.engine import transaction
from pipeline.db.uploads import mark_stored, repin
from pipeline.db.videos import select_video
from pipeline.errors import NotFound, ServiceUnavailable, VideoRejected
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.finish import finish_run
from pipeline.services.ingest import ingest_video
from pipeline.services.reconcile import tick
from pipeline.services.request import request_run
from pipeline.services.system import System
from pipeline.services.upload import forget_upload, register_object, upload_file
from tests.conftest import opened
from tests.integration.db.test_chunks import claim, commit, make_run
from tests.support.harness import ask, cut, run_of, sql, wait_until


def test_an_outage_of_the_store_is_no_reason_to_give_a_video_up(system: System, short_clip: Path) -> None:
    upload = upload_file(system, short_clip, "team")
    down = system.settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1", "backoff_s": 0.0})
    with opened(down) as cut_off:
        for _ in range(system.settings.max_errors + 1):
            with pytest.raises(ServiceUnavailable, match="object store"):
                ingest_video(cut_off, upload.video.id, "w")
    assert sql(system, "SELECT state, errors, last_error LIKE '%object store%' FROM video") == [("stored", 0, True)]
    ingest_video(system, upload.video.id, "w")
    assert sql(system, "SELECT state, frames FROM video") == [("ready", 120)]


def test_a_run_whose_export_cannot_be_stored_waits_and_is_finished_later(system: System, short_clip: Path) -> None:
    run_id = make_run(system)
    with transaction(system.engine) as connection:
        repin(connection, run_of(system, run_id).video_id, system.store.put_file(short_clip, f"test/{run_id}"))
    for idx in range(3):
        claimed = claim(system, run_id, idx)
        assert claimed is not None
        commit(system, claimed)
    down = system.settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1", "backoff_s": 0.0})
    with opened(down) as cut_off:
        for _ in range(system.settings.max_errors + 1):
            with pytest.raises(ServiceUnavailable):
                finish_run(cut_off, run_id, "w")
    assert sql(system, "SELECT state, errors FROM run") == [("finishing", 0)]
    finish_run(system, run_id, "w")
    assert sql(system, "SELECT state, summary->>'frames' FROM run") == [("done", "30")]
    assert list(system.settings.scratch_path.iterdir()) == []


def test_a_stored_upload_keeps_its_object_whatever_its_client_believes(system: System, short_clip: Path) -> None:
    video = upload_file(system, short_clip, "team").video
    assert video.source is not None
    forget_upload(system, video.id, video.source.key)
    assert system.store.head(video.source.key).size_bytes == short_clip.stat().st_size
    with pytest.raises(NotFound, match="upload it again"), transaction(system.engine) as connection:
        mark_stored(connection, video.id, video.source)


def test_the_same_content_from_two_places_is_one_video_and_one_run(system: System, short_clip: Path) -> None:
    run_id = ask(system, short_clip)
    first = upload_file(system, short_clip, "team")
    assert first.existed
    ingest_video(system, first.video.id, "w")
    system.store.put_file(short_clip, f"matches/{run_id}.mp4")
    url = f"s3://{system.store.bucket}/matches/{run_id}.mp4"
    again = register_object(system, url, "team")
    assert not again.existed
    ingest_video(system, again.video.id, "w")
    with transaction(system.engine) as connection:
        assert select_video(connection, again.video.id, team=None).duplicate_of == first.video.id
    assert request_run(system, again.video.id, BUNDLED_MODEL).run_id == run_id
    assert register_object(system, url, "team").video.id == first.video.id
    other_team = register_object(system, url, "another team")
    assert not other_team.existed


def test_the_object_of_a_rejected_upload_is_removed(system: System, short_clip: Path, tmp_path: Path) -> None:
    video = upload_file(system, cut(short_clip, tmp_path / "v.mp4", 60), "team").video
    assert video.source is not None
    sql(system, "UPDATE video SET sha256 = repeat('0', 64)")
    with pytest.raises(VideoRejected, match="damaged"):
        ingest_video(system, video.id, "w")
    assert sql(system, "SELECT state FROM video") == [("rejected",)]
    sql(system, "UPDATE video SET not_before = now() - interval '8 days'")

    def removed() -> bool:
        tick(system)
        return list(system.store.list_keys(video.source.key if video.source else "")) == []

    wait_until(removed, 10)


def test_a_full_disk_is_not_an_outage_of_the_object_store(system: System, short_clip: Path) -> None:
    key = f"test/{uuid4()}"
    system.store.put_file(short_clip, key)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left") as caught:
        system.store.download(key, full)
    assert caught.value.errno == errno.ENOSPC


def test_a_team_without_weight_cannot_be_made(system: System) -> None:
    with pytest.raises(Exception, match="check constraint"):
        sql(system, "INSERT INTO team (name, weight) VALUES ('t', 0)")
