"""That two benches of one home do not run at once, and that nothing stays of a home that was made."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from pipeline.bench import lock
from pipeline.bench.lock import LOCK_FILE, only_bench
from pipeline.cli.main import main
from pipeline.errors import UsageError

HOLD = "import sys\nfrom pathlib import Path\nfrom pipeline.bench.lock import only_bench\n"
HOLD += "with only_bench(Path(sys.argv[1])):\n    print('held', flush=True)\n    input()"


@pytest.fixture
def other(tmp_path):
    """Another process that has this home's bench."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "home")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_bench_is_refused_in_one_line(other, tmp_path, capsys):
    home = tmp_path / "home"
    (home / "bench").mkdir()
    (home / "bench" / ".poseline-bench").touch()
    (home / "bench" / "theirs").touch()
    assert main(["--home", str(home), "bench", "--only", "first"]) == 2
    complaint = f"another `poseline bench` runs in {home}; wait for it, or choose another place with --home"
    assert capsys.readouterr().err == f"poseline: {complaint}\n"
    assert (home / "bench" / "theirs").exists()
    assert (home / LOCK_FILE).exists()
    # Under another name it is the same home.
    (tmp_path / "link").symlink_to(home)
    with pytest.raises(UsageError, match="another `poseline bench`"), only_bench(tmp_path / "link"):
        pytest.fail("both have it")
    assert main(["--home", str(tmp_path / "elsewhere"), "bench", "--model", "none"]) == 2
    assert "there is no model" in capsys.readouterr().err


def test_a_bench_that_was_killed_keeps_nobody_out(other, tmp_path):
    other.kill()
    other.wait()
    assert (tmp_path / "home" / LOCK_FILE).exists()
    with only_bench(tmp_path / "home"):
        pass
    assert list((tmp_path / "home").iterdir()) == []


def test_it_is_held_from_before_the_engines_are_tried(tmp_path, monkeypatch, capsys):
    def find_engines(*_):
        with pytest.raises(UsageError, match="another `poseline bench`"), only_bench(tmp_path):
            pytest.fail("both have it")
        raise UsageError("far enough")

    monkeypatch.setattr("pipeline.bench.every.find_engines", find_engines)
    assert main(["--home", str(tmp_path), "bench", "--only", "first"]) == 2
    # A line before it may say that the machine is busy.
    assert capsys.readouterr().err.splitlines()[-1] == "poseline: far enough"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_holder_removed_meanwhile_is_no_lock(tmp_path, monkeypatch):
    removed, flock = [], fcntl.flock

    def flock_late(descriptor, how):
        if not removed:
            removed.append((tmp_path / LOCK_FILE).unlink())
        flock(descriptor, how)

    monkeypatch.setattr(lock.fcntl, "flock", flock_late)
    with only_bench(tmp_path):
        assert removed
        with pytest.raises(UsageError, match="another `poseline bench`"), only_bench(tmp_path):
            pytest.fail("both have it")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_it_made_go_with_it(tmp_path):
    with only_bench(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK_FILE).exists()
    assert list(tmp_path.iterdir()) == []
    with only_bench(tmp_path / "a" / "b"):
        (tmp_path / "a" / "theirs").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]
    with only_bench(tmp_path / "a"):
        pass
    assert (tmp_path / "a" / "theirs").exists()


def test_descriptors_are_closed(tmp_path):
    before = os.listdir("/dev/fd")
    with only_bench(tmp_path), pytest.raises(UsageError), only_bench(tmp_path):
        pytest.fail("both have it")
    assert len(os.listdir("/dev/fd")) == len(before)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("home", ["{tmp}/file/home", "/proc", "/proc/home"])
def test_a_home_that_cannot_be_written_to_is_refused_in_one_line(tmp_path, capsys, home):
    (tmp_path / "file").touch()
    home = home.format(tmp=tmp_path)
    assert main(["--home", home, "bench", "--only", "first"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"poseline: {home} cannot be written to")
    assert complaint.endswith("; choose another place with --home\n")
    assert complaint.count("\n") == 1
