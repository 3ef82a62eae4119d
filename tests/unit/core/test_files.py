"""Files are replaced in one step, or not at all."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import IO

import pytest

from pipeline.core.files import atomic_files, replacing, write_atomically


def write_half_and_fail(file: IO[bytes]) -> None:
    with file:
        file.write(b"half")
        raise ZeroDivisionError


def test_an_error_in_the_middle_keeps_the_old_file_and_leaves_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as [part]:
        write_half_and_fail(part.open("wb"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_several_files_take_their_names_together(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    with atomic_files(paths) as files:
        for number, file in enumerate(files):
            file.write(b"%d" % number)
        assert not any(path.exists() for path in paths)
    assert [path.read_bytes() for path in paths] == [b"0", b"1"]
    with pytest.raises(ZeroDivisionError), atomic_files([*paths, tmp_path / "c"]) as files:
        write_half_and_fail(files[0])
    assert sorted(tmp_path.iterdir()) == paths
    assert paths[0].read_bytes() == b"0"


@pytest.mark.parametrize("durable", [False, True])
def test_a_private_file_is_its_owner_s_alone(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "secret"
    path.write_text("old, and readable by all")
    path.chmod(0o644)
    write_atomically(path, "é", private=True, durable=durable)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == "é".encode()


def test_other_files_have_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "written", b"")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(folder, b"")
    assert list(tmp_path.iterdir()) == [folder]
