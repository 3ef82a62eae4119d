"""The hashes of files that were read before."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipeline.services.known_files import KnownFiles

LATER_NS = 10_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "v\udce4.mp4"  # no UTF-8
    file.write_bytes(b"video")
    return file


def note(known: KnownFiles, path: Path, sha256: str = "a" * 64, *, after_ns: int = LATER_NS) -> None:
    known.note(path, path.stat(), sha256, begun_ns=time.time_ns() + after_ns)


def test_a_file_is_known_as_long_as_it_is_the_same(path: Path, tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "home")
    assert known.sha256_of(path, path.stat()) is None
    note(known, path)
    known.close()
    again = KnownFiles(tmp_path / "home")
    assert again.sha256_of(path, path.stat()) == "a" * 64
    before = path.stat()
    path.write_bytes(b"other")  # as long as the other
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert again.sha256_of(path, path.stat()) is None
    note(again, path, "b" * 64)
    assert again.sha256_of(path, path.stat()) == "b" * 64
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    assert again.sha256_of(copy, copy.stat()) is None
    again.close()


def test_a_file_that_was_changed_just_now_is_not_kept(path: Path, tmp_path: Path) -> None:
    known = KnownFiles(tmp_path / "home")
    note(known, path, after_ns=0)
    assert known.sha256_of(path, path.stat()) is None
    known.close()


def test_a_home_that_cannot_be_written_costs_only_time(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a directory")
    known = KnownFiles(tmp_path / "file" / "home")
    note(known, path)
    assert known.sha256_of(path, path.stat()) is None
    known.close()


def test_a_damaged_file_is_made_anew(path: Path, tmp_path: Path) -> None:
    (tmp_path / "known-files.sqlite").write_bytes(b"no database" * 999)
    known = KnownFiles(tmp_path)
    note(known, path)
    assert known.sha256_of(path, path.stat()) == "a" * 64
    known.close()


def test_two_commands_share_it(path: Path, tmp_path: Path) -> None:
    one, two = KnownFiles(tmp_path / "home"), KnownFiles(tmp_path / "home")
    note(one, path)
    assert two.sha256_of(path, path.stat()) == "a" * 64
    one.close()
    two.close()
