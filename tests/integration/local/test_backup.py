"""A backup of a system at work is restored into an empty home, where every run is verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.core.backup import UNFINISHED
from pipeline.core.progress import SILENT
from pipeline.errors import UsageError
from pipeline.local import stack
from pipeline.local.backup import make_backup
from pipeline.local.restore import restore_backup
from pipeline.services.ingest import ingest_video
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.services.verify import current_runs, verify_run
from pipeline.settings import load_settings
from tests.conftest import opened
from tests.support.analysis import analyse
from tests.support.commands import printed, said
from tests.support.harness import cut, export_bytes, sql
from tests.support.paths import DEMO_CLIP
from tests.support.watched_bucket import WatchedPrefix

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def analysed(system: System, tmp_path: Path) -> UUID:
    """A run that is done, beside a watched object in another bucket and its version that was overwritten."""
    add_team(system, "u18")
    run_id = analyse(system, cut(DEMO_CLIP, tmp_path / "one.mp4", 6))
    bucket = WatchedPrefix(system, "versioned", versions=True)
    bucket.watch()
    for frames in (7, 8):
        bucket.put("u18/2026/cam.mp4", cut(DEMO_CLIP, tmp_path / "cam.mp4", frames))
        bucket.list_all()
        for (video_id,) in sql(system, "SELECT id FROM video WHERE state = 'stored'"):
            ingest_video(system, video_id, "w")  # type: ignore[arg-type]
    return run_id


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty home, whose stack is stopped after."""
    yield tmp_path / "restored home"
    stack.down(tmp_path / "restored home")


def test_a_backup_is_restored_with_every_object(
    system: System, analysed: UUID, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = export_bytes(system, analysed, tmp_path / "before.jsonl")
    made = make_backup(system.settings, tmp_path / "backup", SILENT)
    assert (made.objects, made.missing) == (5, 0)  # three videos, an export, the weights
    assert not (tmp_path / "backup" / UNFINISHED).exists()
    assert restore_backup(home, tmp_path / "backup", SILENT) == made
    stack.up(home, only=stack.SERVERS)
    with opened(load_settings(home)) as restored:
        for (video_id,) in sql(restored, "SELECT id FROM video"):
            [(bucket, key)] = sql(restored, "SELECT bucket, object_key FROM video WHERE id = :id", id=video_id)
            assert restored.store.listing.look(str(bucket), str(key)).listed.size_bytes
        assert [str(run_id) for run_id in current_runs(restored, team=None)] == [str(analysed)]
        assert verify_run(restored, analysed).good
        assert export_bytes(restored, analysed, tmp_path / "after.jsonl") == before
        old, new = sql(restored, "SELECT name, owned FROM video WHERE name LIKE 'cam%' ORDER BY created_at")
        assert (old, new) == (("cam.mp4", True), ("cam (2).mp4", False)), "an older version cannot have its key"
        counts = "SELECT count(*) FROM "
        for table in ("video", "run", "chunk", "frame", "model", "team", "watch"):
            assert sql(restored, counts + table) == sql(system, counts + table)
    shown = said(capsys, "--home", str(home), "verify", "--all")
    assert "1 runs verified, none of them wrong" in shown
    assert printed(capsys, "--home", str(home), "verify", "--all")[0]["good"] is True
    with pytest.raises(UsageError, match="has a stack already"):
        restore_backup(home, tmp_path / "backup", SILENT)
