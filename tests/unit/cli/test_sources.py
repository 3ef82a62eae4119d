"""Which videos a command line names."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from pipeline.cli.progress import in_time
from pipeline.cli.since import Since
from pipeline.cli.sources import find_sources
from pipeline.errors import UsageError


def test_a_folder_gives_its_videos_sorted_and_each_once(tmp_path: Path) -> None:
    hidden = ("._a.mov", ".Trashes/e.mp4")
    for name in ("b.MP4", "a.mov", "deep/c.mkv", "notes.txt", "d.preview.png", *hidden):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_sources([str(tmp_path / "b.MP4"), str(tmp_path)])
    assert [(one.shown_name, one.in_folder) for one in found] == [("b.MP4", False), ("a.mov", True), ("c.mkv", True)]


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "a.mp4").write_bytes(b"x")
    scan = os.scandir

    def scandir(path: str) -> Any:
        if os.path.basename(path) == "locked":  # as for who is not root
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match="locked cannot be read: Permission denied"):
        find_sources([str(tmp_path)])


def test_what_a_manifest_names_is_as_its_rows_say_also_in_a_folder(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,team,name,tags\nb.mp4,u18,Final,half=1\nc.mp4,,,half=2\n")
    found = find_sources([str(tmp_path), str(tmp_path / "c.mp4")], manifest)
    assert [(one.shown_name, one.team, dict(one.tags)) for one in found] == [
        ("a.mp4", None, {}),
        ("Final", "u18", {"half": "1"}),
        ("c.mp4", None, {"half": "2"}),
    ]


def test_an_object_may_be_named_in_capitals() -> None:
    assert [one.location for one in find_sources(["S3://bucket/Match#2.mp4"])] == ["s3://bucket/Match#2.mp4"]


@pytest.mark.parametrize(
    ("path", "words"), [("none.mp4", "no file"), ("http://x/y.mp4", "download it"), (".", "no video")]
)
def test_what_is_no_video_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        find_sources([path])


def test_since_takes_dates_and_durations() -> None:
    def parsed(text: str) -> datetime:
        return Since().convert(text, None, None)

    now = datetime.now().astimezone()
    assert timedelta(days=6, hours=23) < now - parsed("7d") < timedelta(days=7, hours=1)
    assert parsed("2026-11-20") == datetime(2026, 11, 20).astimezone()
    assert parsed("2026-11-20T18:00+00:00").utcoffset() is not None
    assert parsed("today").hour == 0
    assert parsed("today") - parsed("yesterday") == timedelta(days=1)
    for text in ("soon", "999999w"):
        with pytest.raises(click.BadParameter, match="is no time"):
            parsed(text)


def test_times_are_told_as_people_do() -> None:
    assert [in_time(s) for s in (0.4, 40, 300, 12_000)] == ["0 s", "40 s", "5 min", "3 h 20 min"]
