"""What the benchmarks of ingest and memory measure is the real path, and it leaves nothing behind."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from pipeline.bench.figures import BenchFailed
from pipeline.db.engine import transaction
from tests.benchmarks.ingest import ingest_ratio, peak_memory, stored_loop
from tests.benchmarks.workload import read_video, work_through
from tests.support.harness import environment

TABLES = ("team", "video", "run", "chunk", "frame", "model")


@pytest.fixture
def rows(system):
    def count():
        with transaction(system.engine) as connection:
            return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in TABLES}

    return count


def test_a_workload_commits_every_frame_and_leaves_no_row(system, rows, short_clip):
    before = rows()
    source = system.store.put_file(short_clip, "clip")
    assert work_through(system, source, most_chunks=99) == 120
    assert 0 < work_through(system, source, most_chunks=2) < 120
    assert rows() == before
    sha256, info = read_video(system, source)
    assert len(info.index) == 120
    assert len(sha256) == 64


def test_ingest_and_memory_are_measured_and_nothing_stays(system, settings, rows, short_clip, monkeypatch):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    before = rows()
    with stored_loop(system, short_clip, 2) as source:
        assert 0 < ingest_ratio(system, source, 1) < 10
        worker_bytes, tree_bytes = peak_memory(system, source, 2)
    assert 20e6 < worker_bytes < tree_bytes < 2e9
    assert rows() == before
    assert list(system.store.list_keys("bench/")) == []


def test_a_worker_that_fails_fails_the_measurement(system, settings, monkeypatch, tmp_path):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "no.mp4"
    path.write_bytes(b"no video at all")
    source = system.store.put_file(path, "no")
    with pytest.raises(BenchFailed, match=r"the measured worker failed: .*not a video"):
        peak_memory(system, source, 1)
