"""The report of `poseline bench`, and that the pages made from it are up to date."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.bench.figures import Unavailable, level_figure, ratio_figure
from pipeline.bench.report import Report, describe_machine
from pipeline.cli.main import main
from pipeline.errors import UsageError
from tests.benchmarks import render
from tests.benchmarks.render import NO_REASON, read_reasons, read_report, reason_of, render_page, render_readme


@pytest.fixture
def report():
    return Report(
        machine=describe_machine("a chip"),
        clip={"name": "demo.mp4", "width": 1280, "height": 720, "codec": "h264", "frames": 1840, "seconds": 61.3},
        model="movenet",
        pairs=1,
        figures=(
            ratio_figure("system_cpu", "whole system", "frames/s", [(30, 20)], baseline_label="the loop"),
            level_figure("overhead_cpu", "overhead", "ms/frame", [2.5], note="worker 1.50, postgres 1.00"),
            level_figure("memory_cpu", "a worker", "MB", [400.0]),
            level_figure("slot_cpu", "a slot", "MB", [1234.5]),
        ),
        unavailable=(Unavailable("cuda", "no GPU here"),),
    )


@pytest.fixture
def measured(monkeypatch, report):
    """What `run_benchmark` was asked, which gives the report at once."""
    asked = []

    def run_benchmark(home, models_path, **options):
        asked.append(options)
        return report

    monkeypatch.setattr("pipeline.bench.runner.run_benchmark", run_benchmark)
    return asked


def test_a_report_is_read_as_it_was_written(report, tmp_path):
    report.write(tmp_path / "bench.json")
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    assert read_report(tmp_path / "bench.json") == report


def test_the_page_has_the_table_the_reasons_and_the_machine(report):
    lines = render_page(report, {"overhead": "because"}).splitlines()
    assert "| whole system | 30 frames/s | 20 frames/s, the loop | 1.50 | at least 1.2 | yes |" in lines
    assert "| overhead | 2.5 ms/frame |  |  | at most 2 ms | no (1) |" in lines
    assert "1. Because" in lines
    assert "- overhead: worker 1.50, postgres 1.00." in lines
    assert f"2. {NO_REASON[0].upper()}{NO_REASON[1:]}" in lines
    assert "| a slot | 1,234 MB |  |  | under 80 MB | no (2) |" in lines
    assert "Not on this machine: cuda (no GPU here)." in lines
    assert f"Measured on {report.machine['date']} on a chip with" in "\n".join(lines)


def test_a_figure_s_own_reason_comes_before_its_part_s(report):
    _, overhead, _, slot = report.figures
    assert reason_of(overhead, {"overhead": "a", "overhead_cpu": "b"}) == "b"
    assert reason_of(slot, {"overhead": "a"}) == NO_REASON


def test_the_pages_say_what_was_measured():
    report = read_report()
    page = render_page(report, read_reasons())
    assert render.PAGE.read_text() == page
    assert NO_REASON not in page
    assert render.PICTURE.is_file()
    assert render.README.read_text().partition(render.BEGIN)[2].partition(render.END)[0] == render_readme(report)


def test_the_command_prints_the_table_and_writes_the_report(measured, tmp_path, capsys):
    out = tmp_path / "x.json"
    assert main(["bench", "--only", "memory", "--pairs", "2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "whole system  30 frames/s" in said
    assert said.splitlines()[-1] == f"  {out}"
    assert json.loads(out.read_text())["model"] == "movenet"
    assert list(measured[0]["parts"]) == ["memory"]
    assert measured[0]["size"].pairs == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--pairs", "2", "decode"], "put the options of `poseline bench decode` after its name"),
        (["--out", "/no/such/folder/x.json"], "/no/such/folder/x.json cannot be written: No such file or directory"),
        (["--out", "/"], "/ is not a file; name a file with --out"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_measured(measured, capsys, args, message):
    assert main(["bench", *args]) == 2
    assert message in capsys.readouterr().err
    assert measured == []


def test_a_failed_write_keeps_the_file_and_loses_no_figures(measured, report, tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.json"
    path.write_text("before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        replace(report, pairs=2).write(path)
    assert main(["bench", "--out", str(path)]) == 2
    assert "whole system  30 frames/s" in capsys.readouterr().out
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
