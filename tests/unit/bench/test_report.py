"""What `poseline bench` writes down, and that the README says the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.bench.figures import Goal, NotHere, level_figure, ratio_figure
from pipeline.bench.machine import machine_facts
from pipeline.bench.reading import read_reasons, read_report
from pipeline.bench.report import NO_REASON, REASONS_FILE, Report, reason_of, render
from pipeline.cli.main import main
from pipeline.errors import UsageError
from pipeline.local.status import ServiceStatus, StackStatus
from tests.support.paths import ROOT

BENCH_JSON = ROOT / "docs" / "bench.json"
BEGIN, END = "<!-- bench:begin -->\n", "<!-- bench:end -->"


OVERHEAD = {
    "note": "1.50 without the servers, 1.00 in them: worker 1.50, postgres 1.00",
    "excess_cpu_ms": {"worker": 1.5, "postgres": 1.0},
    "without_servers_cpu_ms": 1.5,
    "servers_cpu_ms": 1.0,
}
MEMORY = {
    "note": "PSS, decoders and all; 300 MB without them",
    "tree_mb": {"2": 400.0, "4": 2869.0},
    "process_mb": {"2": 300.0, "4": 310.0},
    "measure": "PSS",
}


@pytest.fixture
def report():
    return Report(
        machine=machine_facts(),
        clip={"name": "demo.mp4", "width": 1280, "height": 720, "codec": "h264", "frames": 1840, "seconds": 61.3},
        model="movenet",
        pairs=1,
        figures=(
            ratio_figure("system_cpu", "whole system", "frames/s", [(30, 20)], Goal("at least", 1.2), plain="the loop"),
            level_figure("overhead_cpu", "overhead", "ms/frame", [2.5], Goal("at most", 2, "ms"), OVERHEAD),
            level_figure("memory_cpu", "a worker", "MB", [400.0], Goal("under", 600, "MB"), MEMORY),
            level_figure(
                "slot_cpu", "a slot", "MB", [1234.5], Goal("under", 80, "MB"), {"note": "400 MB at 2, 2869 MB at 4"}
            ),
        ),
        missing=(NotHere("cuda", "no GPU here"),),
        plot="people.svg",
    )


def test_what_is_written_is_read(report, tmp_path):
    report.write(tmp_path / "bench.json")
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    again = read_report(tmp_path / "bench.json")
    assert again == report
    assert render(again, {}) == render(report, {})


def test_the_section_has_the_table_the_reasons_and_the_machine(report):
    text = render(report, {"overhead": "because"})
    lines = text.splitlines()
    assert "| whole system | 30 frames/s | 20 frames/s, the loop | 1.50 | at least 1.2 | yes |" in lines
    assert "| overhead | 2.5 ms/frame |  |  | at most 2 ms | no (1) |" in lines
    assert "1. Because" in lines
    assert f"- overhead: {OVERHEAD['note']}." in lines
    assert f"2. {NO_REASON[0].upper()}{NO_REASON[1:]}" in lines
    assert "| a slot | 1,234 MB |  |  | under 80 MB | no (2) |" in lines
    assert lines[2] == "![Time of a frame over the number of people in it](docs/people.svg)"
    assert "Not on this machine: cuda (no GPU here)." in lines
    assert report.machine["cpu"] in lines[0]
    assert report.machine["date"] in lines[0]


def test_a_figure_s_own_reason_beats_its_part_s(report):
    _, overhead, _, slot = report.figures
    assert reason_of(overhead, {"overhead": "a", "overhead_cpu": "b"}) == "b"
    assert reason_of(slot, {"overhead": "a"}) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1, "figures": [{}], "missing": []}'])
def test_another_file_is_refused_in_one_line(tmp_path, capsys, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_report(path)
    assert main(["bench", "report", str(path)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"poseline: {path} ")
    assert complaint.count("\n") == 1


def test_the_command_renders_with_the_reasons_beside(report, tmp_path, capsys):
    report.write(tmp_path / "bench.json")
    (tmp_path / REASONS_FILE).write_text(json.dumps({"overhead": "because"}))
    assert main(["bench", "report", str(tmp_path / "bench.json")]) == 0
    assert capsys.readouterr() == (render(report, {"overhead": "because"}), "")


def test_that_reasons_are_not_there_is_told(report, tmp_path, capsys):
    report.write(tmp_path / "bench.json")
    file = str(tmp_path / "bench.json")
    assert main(["bench", "report", file]) == 0
    out, err = capsys.readouterr()
    assert out == render(report, {})
    assert err.startswith(f"goals were missed, and there is no {tmp_path / REASONS_FILE} to say why; ")
    assert err.count("\n") == 1
    # One that was named is wanted.
    assert main(["bench", "report", file, "--reasons", str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr() == ("", f"poseline: there is no file {tmp_path / 'none.json'}; check --reasons\n")
    # Where all goals are met there is nothing to say.
    replace(report, figures=report.figures[:1]).write(tmp_path / "bench.json")
    assert main(["bench", "report", file]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--pairs", "2", "decode"], "the options of `poseline bench decode` stand behind its name"),
        (["--only", "first", "--plot", "x.svg"], "the plot shows time over people; add `--only people`"),
        (["--out", "/no/such/folder/x.json"], "there is no folder /no/such/folder; make it"),
        (["--model", "movenet-multipose-384@bf16"], "name the model without it"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_starts(tmp_path, capsys, args, words):
    assert main(["--home", str(tmp_path), "bench", *args]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not BENCH_JSON.exists(), reason="nothing was measured yet: docs/bench.json is not there")
def test_the_readme_says_what_was_measured():
    report, reasons = read_report(BENCH_JSON), read_reasons(BENCH_JSON.with_name(REASONS_FILE))
    section = (ROOT / "README.md").read_text().partition(BEGIN)[2].partition(END)[0]
    assert section == render(report, reasons)
    assert NO_REASON not in section
    if report.plot:
        assert (BENCH_JSON.parent / report.plot).is_file()


def test_a_worker_that_competes_is_refused(tmp_path, monkeypatch, capsys):
    running = ServiceStatus("worker", "running", 1, None, "")
    monkeypatch.setattr("pipeline.local.stack.status", lambda home: StackStatus(home, (running,)))
    assert main(["--home", str(tmp_path), "bench"]) == 2
    complaint = "the local stack's worker would compete for the processor; `poseline down` stops it"
    assert capsys.readouterr().err == f"poseline: {complaint}\n"
