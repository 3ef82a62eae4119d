"""Only one benchmark runs in a home, and nothing stays of a home that it made."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from pipeline.bench.private_stack import only_benchmark
from pipeline.cli.main import main
from pipeline.errors import UsageError
from pipeline.local.status import ServiceStatus, StackStatus

HOLD = "import sys\nfrom pathlib import Path\nfrom pipeline.bench.private_stack import only_benchmark\n"
HOLD += "with only_benchmark(Path(sys.argv[1])):\n    print('held', flush=True)\n    input()"


@pytest.fixture
def other(tmp_path):
    """Another process that runs a benchmark in this home."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "home")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_benchmark_is_refused_in_one_line(other, tmp_path, capsys):
    home = tmp_path / "home"
    (home / "bench").mkdir()
    (home / "bench" / ".poseline-bench").touch()
    assert main(["--home", str(home), "bench", "--only", "first-pose"]) == 2
    complaint = f"another benchmark runs in {home}; wait for it, or choose another --home"
    assert capsys.readouterr().err == f"poseline: {complaint}\n"
    assert (home / "bench" / ".poseline-bench").exists()
    (tmp_path / "link").symlink_to(home)
    with pytest.raises(UsageError, match="another benchmark"), only_benchmark(tmp_path / "link"):
        pytest.fail("both have it")
    assert main(["--home", str(tmp_path / "elsewhere"), "bench", "--model", "none"]) == 2
    assert "there is no model" in capsys.readouterr().err


def test_a_killed_benchmark_leaves_no_lock(other, tmp_path):
    other.kill()
    other.wait()
    with only_benchmark(tmp_path / "home"):
        pass
    assert list((tmp_path / "home").iterdir()) == []


def test_folders_that_it_made_are_removed(tmp_path):
    with only_benchmark(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with only_benchmark(tmp_path / "a" / "b"):
        (tmp_path / "a" / "theirs").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]


def test_descriptors_are_closed(tmp_path):
    before = os.listdir("/dev/fd")
    with only_benchmark(tmp_path), pytest.raises(UsageError), only_benchmark(tmp_path):
        pytest.fail("both have it")
    assert len(os.listdir("/dev/fd")) == len(before)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("home", ["{tmp}/file/home", "/proc/home"])
def test_a_home_that_cannot_be_written_to_is_refused_in_one_line(tmp_path, capsys, home):
    (tmp_path / "file").touch()
    home = home.format(tmp=tmp_path)
    assert main(["--home", home, "bench", "--only", "first-pose"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"poseline: {home} cannot be written to")
    assert complaint.count("\n") == 1


def test_a_model_with_a_precision_is_refused_and_nothing_stays(tmp_path, capsys):
    home = tmp_path / "home"
    assert main(["--home", str(home), "bench", "--model", "movenet-multipose-384@bf16"]) == 2
    assert "name the model without it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_worker_of_the_local_stack_is_refused(tmp_path, monkeypatch, capsys):
    running = ServiceStatus("worker", "running", 1, None, "")
    monkeypatch.setattr("pipeline.local.stack.status", lambda home: StackStatus(home, (running,)))
    assert main(["--home", str(tmp_path), "bench"]) == 2
    down = f"`poseline --home {shlex.quote(str(tmp_path))} down`"
    complaint = f"the local stack's worker would compete for the CPU; {down} stops it"
    assert capsys.readouterr().err == f"poseline: {complaint}\n"
