"""A backup of a system at work is restored into an empty home, where every run is verified."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.core.backup import DUMP, MANIFEST, OBJECTS, UNFINISHED
from pipeline.core.progress import SILENT
from pipeline.db.backups import keeping_objects, may_remove_objects
from pipeline.db.engine import transaction
from pipeline.errors import ServiceUnavailable, StackError, UsageError
from pipeline.local import backup, stack
from pipeline.local.backup import make_backup
from pipeline.local.home import RESTORING
from pipeline.local.restore import read_backup, restore_backup
from pipeline.services.ingest import ingest_video
from pipeline.services.reconcile.objects import remove_orphaned_objects
from pipeline.services.system import System
from pipeline.services.teams import add_team
from pipeline.settings import load_settings
from pipeline.storage.objects import ObjectStore
from tests.conftest import opened
from tests.support.analysis import analyse
from tests.support.commands import printed, said
from tests.support.harness import cut, environment, export_bytes, sql
from tests.support.paths import DEMO_CLIP, ROOT
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
    yield tmp_path / "restored"
    stack.down(tmp_path / "restored")


def fails_after(good: int, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Have a method of the object store fail once it was called so often."""
    real, calls = getattr(ObjectStore, what), []

    def call(self: ObjectStore, *args: object) -> object:
        calls.append(None)
        if len(calls) > good:
            raise ServiceUnavailable("the object store does not answer")
        return real(self, *args)

    monkeypatch.setattr(ObjectStore, what, call)


class Page:
    """The examples of docs/operations.md, run with other folders."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path, home: Path) -> None:
        page = (ROOT / "docs" / "operations.md").read_text().partition("## Backups\n")[2].partition("\n## ")[0]
        [block] = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
        self._examples = re.findall(r"^\$ poseline (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
        assert len(self._examples) == 3
        self._capsys, self._folder, self._home = capsys, folder, home

    def run(self, command: str, **environ: str) -> None:
        """Run the example of a command, and compare what it prints with the page."""
        [(line, shown)] = [each for each in self._examples if command in each[0].split()]
        line = line.replace("/backups/friday", shlex.quote(str(self._folder)))
        line = line.replace("/srv/poseline", shlex.quote(str(self._home)))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            printed = said(self._capsys, *shlex.split(line))
        assert self._without_what_differs(shown) in self._without_what_differs(printed), line

    @staticmethod
    def _without_what_differs(text: str) -> str:
        """An output without ids, times, sizes and folders."""
        return re.sub(r"\S*/\S*|\b[0-9a-f]{8}\b|\d{4}-\d\d-\d\dT\S+|[\d.]+ (?=objects|MB)", "…", text)


def test_a_backup_is_restored_with_every_object(
    system: System,
    analysed: UUID,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, folder = export_bytes(system, analysed, tmp_path / "before.jsonl"), tmp_path / "backup"
    page = Page(capsys, folder, home)
    page.run("backup", **environment(system.settings))
    made = read_backup(folder)
    assert (made.objects, made.missing) == (5, 0)  # three videos, an export, the weights
    assert [each.name for each in folder.iterdir() if each.stat().st_mode & 0o077] == [], "others can read it"
    assert not (folder / UNFINISHED).exists()
    with monkeypatch.context() as patch:
        fails_after(2, patch, "put_file")
        with pytest.raises(ServiceUnavailable):
            restore_backup(home, folder, SILENT)
    with pytest.raises(StackError, match="was not restored completely"):
        stack.up(home, only=stack.SERVERS)
    shown = said(capsys, "--home", str(home), "status", code=1)
    assert "was not restored completely; repeat `poseline --home" in shown
    page.run("restore")  # goes on
    assert not (home / RESTORING).exists()
    stack.up(home, only=stack.SERVERS)
    page.run("verify", POSELINE_HOME=str(home))
    with opened(load_settings(home)) as restored:
        for (video_id,) in sql(restored, "SELECT id FROM video"):
            [(bucket, key)] = sql(restored, "SELECT bucket, object_key FROM video WHERE id = :id", id=video_id)
            assert restored.store.listing.look(str(bucket), str(key)).listed.size_bytes
        assert export_bytes(restored, analysed, tmp_path / "after.jsonl") == before
        old, new = sql(restored, "SELECT name, owned FROM video WHERE name LIKE 'cam%' ORDER BY created_at")
        assert (old, new) == (("cam.mp4", True), ("cam (2).mp4", False)), "an older version cannot have its key"
        counts = "SELECT count(*) FROM "
        for table in ("video", "run", "chunk", "frame", "model", "team", "watch"):
            assert sql(restored, counts + table) == sql(system, counts + table)
    with pytest.raises(UsageError, match="has a stack already"):
        restore_backup(home, folder, SILENT)


def test_a_backup_that_broke_off_is_none_and_goes_on(
    system: System, analysed: UUID, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backup"
    with monkeypatch.context() as patch:
        fails_after(2, patch, "iter_whole")
        with pytest.raises(ServiceUnavailable):
            make_backup(system.settings, folder, SILENT)
    assert not (folder / MANIFEST).exists()
    with pytest.raises(UsageError, match="broke off; where it was made"):
        restore_backup(home, folder, SILENT)
    copied = {path: path.stat().st_mtime_ns for path in (folder / "objects").glob("*/*")}
    assert len(copied) == 2
    (folder / ".objects.jsonl.0a1b2c3d.part").touch()  # as one that is killed leaves behind
    made = make_backup(system.settings, folder, SILENT)
    assert made.objects == 5
    assert list(folder.rglob(".*")) == []
    assert {path: path.stat().st_mtime_ns for path in copied} == copied, "what was copied is not copied again"
    with pytest.raises(UsageError, match="holds a backup already"):
        make_backup(system.settings, folder, SILENT)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="is not empty"):
        make_backup(system.settings, tmp_path / "other", SILENT)


def test_what_is_damaged_is_not_restored(system: System, home: Path, tmp_path: Path) -> None:
    add_team(system, "u18")
    make_backup(system.settings, tmp_path / "backup", SILENT)
    for name in (DUMP, OBJECTS, MANIFEST):
        copy = tmp_path / f"without {name}"
        shutil.copytree(tmp_path / "backup", copy)
        (copy / name).write_bytes(b"damaged")
        with pytest.raises(UsageError, match=name):
            restore_backup(home, copy, SILENT)
    manifest = json.loads((tmp_path / "backup" / MANIFEST).read_text())
    for text, line in (
        ("[]", "it is no JSON object"),
        ("{}", "its format is None"),
        (json.dumps({**manifest, "format": 2}), "its format is 2, this version reads 1"),
        (json.dumps({**manifest, "objects": "many", "bucket": None}), "bucket, objects: missing or no value"),
    ):
        copy = tmp_path / line
        shutil.copytree(tmp_path / "backup", copy)
        (copy / MANIFEST).write_text(text)
        with pytest.raises(UsageError, match=re.escape(line)):
            restore_backup(home, copy, SILENT)
    with pytest.raises(UsageError, match="holds no backup"):
        restore_backup(home, tmp_path, SILENT)
    assert not home.exists()
    with pytest.raises(UsageError, match=r"is not empty: it holds 'backup' and \d+ more"):
        restore_backup(tmp_path, tmp_path / "backup", SILENT)
    assert not (tmp_path / "postgres").exists()


def test_no_object_is_removed_while_a_backup_is_made(
    system: System, analysed: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that its rows name no more when it is copied is there all the same, and is removed afterwards."""
    [(key,)] = sql(system, "SELECT object_key FROM video WHERE owned")
    dump = backup.dump

    def dumped(*args: object) -> None:
        dump(*args)  # type: ignore[arg-type]
        sql(system, "UPDATE run SET state = 'failed' WHERE false")
        sql(system, "ALTER TABLE video DISABLE TRIGGER USER")
        sql(system, "UPDATE video SET state = 'rejected', not_before = now() - interval '1 year' WHERE owned")
        remove_orphaned_objects(system)

    monkeypatch.setattr(backup, "dump", dumped)
    made = make_backup(system.settings, tmp_path / "backup", SILENT)
    assert (made.objects, made.missing) == (5, 0)
    assert system.store.head(str(key)).size_bytes
    remove_orphaned_objects(system)
    assert sql(system, "SELECT etag FROM video WHERE owned") == [(None,)]


def test_two_backups_at_once_are_refused(system: System, tmp_path: Path) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with keeping_objects(system.engine):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(30)
        with transaction(system.engine) as connection:
            assert not may_remove_objects(connection)
        with pytest.raises(UsageError, match="another backup is being made"):
            make_backup(system.settings, tmp_path / "backup", SILENT)
    finally:
        done.set()
        holder.join()
    with transaction(system.engine) as connection:
        assert may_remove_objects(connection)


def test_two_backups_into_one_folder_leave_the_first_whole(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, refused = tmp_path / "backup", list[str]()
    listed = backup._list

    def list_slowly(*args: object) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(backup, "keeping_objects", lambda _: nullcontext())  # as one of another database
            with pytest.raises(UsageError) as caught:
                make_backup(system.settings, folder, SILENT)
        refused.append(caught.value.message)
        return listed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(backup, "_list", list_slowly)
    made = make_backup(system.settings, folder, SILENT)
    assert refused == [f"another backup is being made into {folder}; name another folder"]
    assert read_backup(folder) == made
    (folder / UNFINISHED).touch()
    with pytest.raises(UsageError, match="holds a backup already"):
        make_backup(system.settings, folder, SILENT)
    assert read_backup(folder) == made


def test_the_commands(
    configured: object, system: System, analysed: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = printed(capsys, "backup", str(tmp_path / "backup"))
    assert made == {"folder": str(tmp_path / "backup"), **json.loads((tmp_path / "backup" / MANIFEST).read_text())}
    assert "5 objects" in said(capsys, "backup", str(tmp_path / "another"))
    refused = said(capsys, "restore", str(tmp_path / "backup"), code=2)
    assert "the environment names other servers" in refused
    [verdict] = printed(capsys, "verify", "--all")
    assert verdict["run_id"] == str(analysed)
    assert printed(capsys, "verify", "--all", "--team", "u18") == []
