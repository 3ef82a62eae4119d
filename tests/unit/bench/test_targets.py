"""Where a bench's files go: found out before anything is measured, and never at the price of the figures."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from pipeline.bench.figures import Goal, ratio_figure
from pipeline.bench.machine import machine_facts
from pipeline.bench.report import Report
from pipeline.bench.targets import check_target, written_whole
from pipeline.cli.main import main
from pipeline.errors import UsageError

REPORT = Report(
    machine=machine_facts(),
    clip={"name": "demo.mp4", "width": 1280, "height": 720, "codec": "h264", "frames": 1840, "seconds": 61.3},
    model="movenet",
    pairs=1,
    figures=(ratio_figure("system_cpu", "whole system", "frames/s", [(30, 20)], Goal("at least", 1.2), plain="loop"),),
)


@pytest.fixture
def measured(monkeypatch):
    """Has the measuring done what is put in here, and give the report."""
    meanwhile = []

    def measure(*_, **__):
        for each in meanwhile:
            each()
        return REPORT

    monkeypatch.setattr("pipeline.bench.every.measure", measure)
    return meanwhile


@pytest.fixture
def unmeasured(measured):
    measured.append(lambda: pytest.fail("it was measured"))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("option", ["--out", "--plot"])
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("{tmp}/folder.svg", "is not a file; name a file with"),
        ("{tmp}/none/x.svg", "there is no folder {tmp}/none; make it, or choose another"),
        ("{tmp}/file/x.svg", "there is no folder {tmp}/file; make it, or choose another"),
        ("{tmp}/nowhere.svg", "there is no folder"),
        ("{tmp}/pipe.svg", "is not a file; name a file with"),
        ("/proc/x.svg", "/proc/x.svg cannot be written: No such file or directory; choose another"),
        ("{tmp}/" + 251 * "x" + ".svg", "cannot be written: File name too long; choose another"),
    ],
)
@pytest.mark.usefixtures("unmeasured")
def test_what_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, capsys, option, file, words):
    pytest.importorskip("matplotlib")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "nowhere.svg").symlink_to(tmp_path / "none" / "x.svg")
    os.mkfifo(tmp_path / "pipe.svg")
    before = sorted(tmp_path.iterdir())
    assert main(["--home", str(tmp_path), "bench", "--only", "people", option, file.format(tmp=tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("poseline: ")
    assert words.format(tmp=tmp_path) in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.usefixtures("unmeasured")
def test_two_files_are_two(tmp_path, capsys):
    (tmp_path / "link.svg").symlink_to(tmp_path / "x.svg")
    names = ["--out", str(tmp_path / "x.svg"), "--plot", str(tmp_path / "link.svg")]
    assert main(["bench", "--only", "people", *names]) == 2
    assert capsys.readouterr().err == "poseline: --out and --plot name one file; choose another for one of them\n"


def test_the_table_is_there_though_the_file_is_not(measured, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    measured.append(lambda: shutil.rmtree(tmp_path / "folder"))
    out = tmp_path / "folder" / "x.json"
    assert main(["bench", "--only", "system", "--out", str(out)]) == 2
    said, complaint = capsys.readouterr()
    assert "whole system  30 frames/s" in said
    assert str(out) not in said
    assert complaint == f"poseline: {out} cannot be written: No such file or directory; choose another --out\n"
    (tmp_path / "folder").mkdir()
    assert main(["bench", "--only", "system", "--out", str(out), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["figures"][0]["ours"] == 30


def test_files_that_were_written_are_told_behind_the_table(measured, tmp_path, capsys):
    out = tmp_path / "x.json"
    assert main(["bench", "--only", "system", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"  {out}"
    assert json.loads(out.read_text())["model"] == "movenet"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("before")
    check_target(path, "--out")
    assert path.read_text() == "before"

    def broken_off():
        with written_whole(path, "--out") as part:
            part.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(UsageError, match=r"x.json cannot be written: No space left on device; choose another --out$"):
        broken_off()
    assert path.read_text() == "before"
    (tmp_path / "link").symlink_to(path)
    with written_whole(tmp_path / "link", "--out") as part:
        part.write_text("after")
    assert path.read_text() == "after"
    assert (tmp_path / "link").is_symlink()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "x.json"]
