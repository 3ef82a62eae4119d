"""Measured speeds: the last of each model and device, of this machine only, whatever became of the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.inference.engines.onnx_session import CPU, CUDA
from pipeline.inference.engines.sessions import DeviceInfo, cpu_name
from pipeline.inference.speeds import SPEEDS_FILE, Speed, measured_now, read_speeds, record_speed

CHIP = DeviceInfo("onnxruntime 1", CPU, cpu_name())
CARD = DeviceInfo("onnxruntime 1", CUDA, "a card", is_gpu=True)


def speed(fingerprint: str = "a" * 64, device: DeviceInfo = CHIP, frame_ms: float = 20.0) -> Speed:
    return measured_now(fingerprint, device, frame_ms=frame_ms, people_per_frame=1.5, batch=1)


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "home" / "models"


def test_what_was_recorded_is_read_again(models):
    assert read_speeds(models) == []
    wanted = speed()
    record_speed(models, wanted)
    assert read_speeds(models) == [wanted]
    assert wanted.frames_per_s == 50
    assert wanted.processor == cpu_name()


def test_the_last_of_a_model_on_a_device_replaces_the_one_before(models):
    others = [speed("b" * 64), speed(device=CARD), speed(device=replace(CHIP, precision="bf16"))]
    for each in (speed(frame_ms=20), *others, speed(frame_ms=30)):
        record_speed(models, each)
    assert sorted(each.frame_ms for each in read_speeds(models)) == [20, 20, 20, 30]
    assert set(others) < set(read_speeds(models))


def test_the_newest_comes_first(models):
    for fingerprint in ("a" * 64, "b" * 64, "a" * 64):
        record_speed(models, speed(fingerprint))
    assert [each.fingerprint[0] for each in read_speeds(models)] == ["a", "b"]


def test_a_copied_folder_does_not_claim_another_machines_speed(models):
    elsewhere = replace(speed(), processor="another chip", device="another chip")
    record_speed(models, elsewhere)
    assert read_speeds(models) == []
    record_speed(models, speed())
    assert [each.processor for each in read_speeds(models)] == [cpu_name()]
    rows = json.loads((models / SPEEDS_FILE).read_text())["speeds"]
    assert len(rows) == 2, "a folder that two machines share keeps both"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b'{"speeds": 7}', b'{"speeds": {"a": 1}}', b"[" * 100_000]
)
def test_a_damaged_file_reads_as_empty_and_is_replaced(models, content):
    models.mkdir(parents=True)
    (models / SPEEDS_FILE).write_bytes(content)
    assert read_speeds(models) == []
    record_speed(models, speed())
    assert len(read_speeds(models)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"frame_ms": 0},
        {"frame_ms": -1},
        {"frame_ms": "20"},
        {"frame_ms": None},
        {"frame_ms": float("nan")},
        {"frame_ms": float("inf")},
        {"people_per_frame": float("inf")},
        {"batch": 0},
        {"is_gpu": "no"},
        {"fingerprint": 7},
        {"measured_at": None},
        {"of_a_later_version": 1},
    ],
)
def test_a_damaged_row_is_left_out_and_the_others_stay(models, change):
    record_speed(models, speed())
    path = models / SPEEDS_FILE
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"speeds": [content["speeds"][0] | change, None, 3, *content["speeds"]]}))
    assert len(read_speeds(models)) == 1


def test_a_folder_that_cannot_be_written_is_an_error_and_nothing_is_left(tmp_path):
    (tmp_path / "models").write_text("no folder")
    with pytest.raises(OSError, match="models"):
        record_speed(tmp_path / "models", speed())
    assert read_speeds(tmp_path / "models") == []
    folder = tmp_path / "other"
    (folder / SPEEDS_FILE).mkdir(parents=True)
    with pytest.raises(OSError, match=SPEEDS_FILE):
        record_speed(folder, speed())
    assert [path.name for path in folder.iterdir()] == [SPEEDS_FILE]
