"""`poseline models check`: which models find what they should here, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pipeline.cli.main import main
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.onnx_session import CPU, CUDA
from pipeline.inference.weights.checksums import write_checksums
from tests.support.onnx_maker import make_model

NEVER = np.array([[10, 20, 110, 220, 0.1]], np.float32)


def check(home: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["--home", str(home), "models", "check", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_what_is_here_is_checked_and_described(tmp_path, capsys):
    code, out, _ = check(tmp_path, capsys, "--json", "--device", "cpu")
    [row] = json.loads(out)
    assert code == 0
    assert (row["name"], row["ok"], row["problem"], row["people"]) == (BUNDLED_MODEL, True, None, 5)
    assert (row["provider"], row["engine"]) == (CPU, f"onnxruntime {onnxruntime.__version__}")
    assert row["px_max"] < 0.05
    assert row["oks_min"] > 0.999
    assert row["frame_ms"] > 0


def test_one_that_must_not_be_used_gives_one_line_and_the_exit_code(tmp_path, capsys):
    folder = tmp_path / "models"
    folder.mkdir()
    write_checksums(folder, {"rtmo-t": "0" * 64})
    make_model(folder / "rtmo-t.onnx")
    mine = make_model(tmp_path / "mine.onnx", dets=NEVER)
    code, out, err = check(tmp_path, capsys, "rtmo-t", str(mine), "--device", "cpu")
    assert code == 1
    assert f"rtmo-t: {folder / 'rtmo-t.onnx'} changed" in out
    assert "mine found no people in 3 images of people; check that it is a model of" in out
    assert "1 of 2 models cannot be used here: rtmo-t" in err


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA")
def test_a_device_that_is_not_there_is_said_of_each(tmp_path, capsys):
    code, out, _ = check(tmp_path, capsys, BUNDLED_MODEL, "--device", "cuda", "--json")
    assert code == 1
    assert "no CUDA" in json.loads(out)[0]["problem"]


def test_one_that_is_no_model_at_all_does_not_keep_the_others_from_being_checked(tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("no network")
    nan = make_model(tmp_path / "nan.onnx", dets=np.full((1, 5), np.nan, np.float32))
    names = [str(tmp_path / "text.onnx"), str(nan), "rtmo-s", BUNDLED_MODEL]
    code, out, _ = check(tmp_path, capsys, "--json", "--device", "cpu", *names)
    rows = json.loads(out)
    assert code == 1
    assert [(row["name"], row["ok"]) for row in rows] == [(name, name == BUNDLED_MODEL) for name in names]
    assert all(row["problem"] for row in rows[:-1])


def test_a_name_that_nobody_knows_is_asked_wrongly(tmp_path, capsys):
    code, out, err = check(tmp_path, capsys, BUNDLED_MODEL, "rtmo-z")
    assert (code, out) == (2, "")
    assert "checking" not in err, "before anything is"
    assert check(tmp_path, capsys, str(tmp_path / "none.onnx"))[0] == 2
