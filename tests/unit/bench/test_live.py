"""`poseline bench live`: the table, and the options that reach the measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.bench import live
from pipeline.bench.live import LiveFigure, LiveReport, live_headings, live_rows
from pipeline.bench.slow_network import Network
from pipeline.cli.main import main
from pipeline.core.live_latency import STAGES, TOTAL, Spread

SPREADS = {stage: Spread(number + 0.4, number + 10.0) for number, stage in enumerate((*STAGES, TOTAL))}
FIGURES = (
    LiveFigure("cpu", "onnxruntime, fp32", 2, 2, 14.94, 120, SPREADS),
    LiveFigure("cpu", "onnxruntime, fp32", 8, 3, 9.0, 120, SPREADS),
    LiveFigure("cpu", "onnxruntime, fp32", 9, 0, 0.0, 0, {}),
)


def test_the_table_has_each_stage_and_the_budget_below() -> None:
    rows = [dict(zip(live_headings(), row, strict=True)) for row in live_rows(FIGURES)]
    assert [row["sessions"] for row in rows] == ["2", "3 of 8", "0 of 9", ""]
    assert rows[0]["frames/s"] == "14.9"
    assert rows[0]["capture"] == "0/10"
    assert rows[0][TOTAL] == "8/18"
    assert rows[2]["process"] == ""
    assert (rows[-1]["process"], rows[-1]["encode"], rows[-1][TOTAL]) == ("25", "", "78")


def test_the_command_measures_what_its_options_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def measure(*_: object, **options: Any) -> LiveReport:
        asked.update(options)
        return LiveReport({"load_average_before": [0.2]}, str(options["network"]), options["seconds"], FIGURES, ())

    monkeypatch.setattr(live, "run_live_benchmark", measure)
    out = tmp_path / "live.json"
    home = ("--home", str(tmp_path / "home"))
    assert main(["bench", "live", "--sessions", "2", "--seconds", "3", "--mbit", "5", "--out", str(out), *home]) == 0
    assert (asked["sessions"], asked["seconds"], asked["network"]) == ((2,), 3.0, Network(20.0, 5.0))
    said = capsys.readouterr().out
    assert "3 of 8" in said
    assert "20 ms there and back, 5 Mbit/s, delayed in the client; load average of the machine before: 0.2" in said
    written = json.loads(out.read_text())
    assert written["budget_ms"]["process"] == 25
    assert written["figures"][0]["spread_ms"]["process"] == {"median": 5.4, "p95": 15.0}
    assert main(["bench", "live", "--loopback", "--json", *home]) == 0
    assert (asked["sessions"], asked["network"]) == ((1, 2, 4, 8), None)
    assert json.loads(capsys.readouterr().out)["network"] == "None"
