"""`poseline bench decode` beside a stack that runs: what it measures is the real path, and it leaves nothing behind."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from pipeline.bench.decode import Size, bench_decode
from pipeline.bench.measure import BenchFailed, peak_memory
from pipeline.bench.workload import read_video, work_through
from pipeline.cli.main import main
from pipeline.db.engine import transaction
from tests.support.harness import environment

SMALL = Size(pairs=1, heights=(144,), frames=60, ingest_loops=3, short_s=10, long_s=20, chunks=2)
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


def test_ingest_and_memory_are_measured_and_nothing_stays(system, settings, rows, monkeypatch, capsys):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    before = rows()
    figures = bench_decode(system, parts=["ingest", "memory"], size=SMALL, on_step=lambda _: None)
    ingest, worker, tree = figures
    assert [figure.name for figure in figures] == ["ingest", "memory_worker", "memory_tree"]
    assert ingest.outcome == pytest.approx(ingest.ours / ingest.against)
    assert ingest.met is ingest.goal is None
    for memory in (worker, tree):
        assert memory.outcome == pytest.approx(memory.ours - memory.against)
        assert memory.met is (memory.outcome < 50)
    assert 20 < worker.against < tree.against < 2000
    assert rows() == before
    assert list(system.store.list_keys("bench/")) == []
    assert {path.suffix for path in settings.scratch_path.iterdir()} == {".mp4"}
    assert all(path.is_file() for path in settings.scratch_path.iterdir())
    # The same by the command.
    monkeypatch.setattr("pipeline.bench.decode.Size", lambda **_: SMALL)
    home = ["--home", str(settings.home)]
    assert main([*home, "bench", "decode", "--pairs", "1", "--only", "ingest", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [figure["name"] for figure in said["figures"]] == ["ingest"]
    assert main([*home, "bench", "decode", "--pairs", "1", "--only", "ingest"]) == 0
    out = capsys.readouterr().out
    assert "MB/s" in out.splitlines()[1]


def test_a_worker_that_breaks_off_fails_the_measurement(system, settings, monkeypatch, tmp_path):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "no.mp4"
    path.write_bytes(b"no video at all")
    source = system.store.put_file(path, "no")
    with pytest.raises(BenchFailed, match=r"broke off: .*not a video"):
        peak_memory(system, source, 1)
