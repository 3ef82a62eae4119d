"""`poseline models` and `models show`: what a person sees who wants to choose a model, and what a script gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.models_list import list_lines
from pipeline.cli.models_show import show_lines
from pipeline.inference.catalogue import ALIASES, BUNDLED_MODEL, ENTRIES
from pipeline.inference.engines.onnx_session import CPU, CUDA
from pipeline.inference.engines.sessions import DeviceInfo, cpu_name
from pipeline.inference.guide import GUIDES
from pipeline.inference.speeds import SPEEDS_FILE, Speed, measured_now, read_speeds, record_speed
from pipeline.inference.weights.checksums import write_checksums
from pipeline.inference.zoo import find_model, list_models
from pipeline.services.model_facts import model_facts
from tests.support.onnx_maker import make_model

WIDTH = 100
CHIP = DeviceInfo("onnxruntime 1.31.1", CPU, cpu_name())
CARD = DeviceInfo("onnxruntime 1.31.1", CUDA, "a card", is_gpu=True)


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def models(home) -> Path:
    """A folder with the files of rtmpose-s; they are no networks."""
    models = home / "models"
    models.mkdir(parents=True)
    for name in ("yolox-tiny-humanart", "rtmpose-s"):
        (models / f"{name}.onnx").write_bytes(b"\0" * 1_500_000)
    write_checksums(models, {"yolox-tiny-humanart": "1" * 64, "rtmpose-s": "2" * 64})
    return models


def measure(models: Path, name: str, frame_ms: float, device: DeviceInfo = CHIP, batch: int = 1) -> None:
    spec = find_model(name, models).spec
    record_speed(models, measured_now(spec.fingerprint, device, frame_ms=frame_ms, people_per_frame=5 / 3, batch=batch))


def listed(models: Path, width: int = WIDTH) -> list[str]:
    return list_lines(list_models(models), read_speeds(models), width)


def shown(models: Path, name: str) -> str:
    state = next(state for state in list_models(models) if state.name == name)
    measured: list[Speed] = read_speeds(models)
    return "\n".join(show_lines(state, model_facts(state, measured), measured, WIDTH))


def run(home: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["--home", str(home), "models", *args])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_list_fits_a_terminal_and_says_of_every_model_for_whom_it_is(models, width):
    measure(models, BUNDLED_MODEL, 20)
    measure(models, "rtmpose-s", 1234)
    lines = listed(models, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert [name for name in ENTRIES if f" {name} " not in text] == []
    if width == 200:
        assert [guide.for_whom for guide in GUIDES.values() if guide.for_whom not in text] == []


def test_a_row_says_size_speed_and_accuracy(models):
    measure(models, BUNDLED_MODEL, 62.4)
    rows = {line.split()[0]: line.split() for line in listed(models, 200) if line.startswith("  ")}
    assert rows[BUNDLED_MODEL][1:6] == ["9.5", "MB", "62", "16", "-"]
    assert rows["rtmpose-s"][1:6] == ["3.0", "MB", "-", "-", "69.7"]
    assert rows["rtmo-m"][1:6] == ["not", "here", "-", "-", "72.6"]


def test_figures_of_other_measures_stand_under_other_headings(models):
    lines = listed(models)
    above = {name: next(line for line in lines[: at(lines, name)][::-1] if line.endswith("for")) for name in ENTRIES}
    measures = {name: heading.split()[4] for name, heading in above.items()}
    assert {measures[name] for name in ENTRIES if name.endswith("-feet")} == {"PCK@0.1"}
    assert measures["rtmpose-m-hand"] == "PCK@0.2"
    assert above["rtmo-s"] is not above["rtmpose-s"]


def at(lines: list[str], name: str) -> int:
    return next(number for number, line in enumerate(lines) if line.split()[:1] == [name])


def test_the_notes_say_how_speeds_were_measured_and_how_to_measure(models):
    text = "\n".join(listed(models))
    assert "`poseline models check` measures the speed of the models that are here" in text
    assert "Speeds:" not in text
    measure(models, BUNDLED_MODEL, 20)
    text = "\n".join(listed(models))
    assert f"Speeds: {cpu_name()}, one slot alone, without reading the video." in text
    assert "`poseline models check` measures" in text, "rtmpose-s is not measured yet"
    assert "people are posed one by one: with" not in text
    measure(models, "rtmpose-s", 40)
    text = "\n".join(listed(models))
    assert "posed one by one: with 1.7 people a frame; more take longer." in text
    assert "`poseline models check` measures" not in text


def test_another_machines_speed_is_not_shown(models):
    measure(models, BUNDLED_MODEL, 20)
    path = models / SPEEDS_FILE
    path.write_text(path.read_text().replace(json.dumps(cpu_name()), '"another chip"'))
    assert "Speeds:" not in "\n".join(listed(models))
    assert "not measured; `poseline models check`" in shown(models, BUNDLED_MODEL)


def test_one_model_with_everything_about_it(models):
    measure(models, "rtmpose-s", 41.2)
    text = " ".join(shown(models, "rtmpose-s").split())
    for said in (
        "other names rtmpose-lightweight",
        "here yes, 3.0 MB (yolox-tiny-humanart 1.5 MB, rtmpose-s 1.5 MB)",
        "41 ms a frame with 1.7 found in it (more take longer), about 24 frames/s a slot; fp32 on",
        "one slot alone on one thread, without reading the video",
        "69.7 AP on COCO val2017, in boxes of another person detector (56.4 AP), averaged with the mirrored image; ",
        "trained on body7: AI Challenger",
        "two: yolox-tiny-humanart finds each person, rtmpose-s poses it at 192 x 256 px",
        "5.47 million (rtmpose-s)",
        "17: nose, left_eye",
        "score 0.3, NMS 0.45",
    ):
        assert said in text


def test_speeds_on_several_devices_and_precisions_are_all_shown(models):
    measure(models, BUNDLED_MODEL, 62)
    measure(models, BUNDLED_MODEL, 0.5, CARD, batch=16)
    measure(models, f"{BUNDLED_MODEL}@bf16", 30, DeviceInfo("openvino 2026.4", "CPU", cpu_name(), precision="bf16"))
    text = " ".join(shown(models, BUNDLED_MODEL).split())
    assert "62 ms a frame, about 16 frames/s a slot; fp32" in text
    assert "0.5 ms a frame, about 2000 frames/s a slot; fp32 on a card" in text
    assert "one slot alone in batches of 16, without reading the video" in text
    assert "30 ms a frame, about 33 frames/s a slot; bf16" in text


def test_whole_bodies_say_how_accurate_each_part_is(models):
    text = " ".join(shown(models, "rtmw-l").split())
    assert "66.0 AP (body 74.3, feet 76.3, face 83.4, hands 59.8) on COCO-WholeBody v1.0 val" in text
    assert "face-0 to face-67, left_hand_root, left_thumb1 to left_thumb4" in text
    assert "here no; `poseline models fetch rtmw-l` downloads it" in text
    assert "no published figure" in shown(models, BUNDLED_MODEL)


def test_facts_of_all_models_as_json(home, models, capsys):
    measure(models, BUNDLED_MODEL, 62.5)
    code, out, _ = run(home, capsys, "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert list(rows) == list(ENTRIES)
    here, away = rows[BUNDLED_MODEL], rows["rtmo-m"]
    assert here["weights_bytes"] == find_model(BUNDLED_MODEL, models).path.stat().st_size
    assert (here["frame_ms"], here["frames_per_s"], here["people_per_frame"]) == (62.5, 16, 5 / 3)
    assert [(speed["precision"], speed["processor"]) for speed in here["speeds"]] == [("fp32", cpu_name())]
    assert (here["published_ap"], here["published"]) == (None, [])
    assert rows["rtmpose-s"]["weights_bytes"] == 3_000_000
    assert (away["weights_bytes"], away["frame_ms"], away["speeds"]) == (None, None, [])
    assert away["published_ap"] == 72.6
    assert away["published"][0]["source"].endswith("projects/rtmo/README.md")
    assert rows["rtmpose-m"]["pose_parameters"] == 13_590_000
    assert {row["for_whom"] for row in rows.values()} == {guide.for_whom for guide in GUIDES.values()}


def test_show_takes_every_name_and_a_file(home, tmp_path, capsys):
    alias, name = next(iter(ALIASES.items()))
    for asked in (alias, name, f"{name}@bf16"):
        code, out, _ = run(home, capsys, "show", asked, "--json")
        assert (code, json.loads(out)["name"]) == (0, name)
    mine = make_model(tmp_path / "mine.onnx", side_px=96)
    code, out, _ = run(home, capsys, "show", str(mine), "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["name"], facts["from"], facts["weights_bytes"]) == (str(mine), str(mine), mine.stat().st_size)
    assert facts["fingerprint"] == find_model(str(mine), home / "models").spec.fingerprint
    code, out, _ = run(home, capsys, "show", str(mine))
    assert code == 0
    assert "no published figure is known" in out


@pytest.mark.parametrize(
    ("name", "says"),
    [("rtmo-x", "there is no model 'rtmo-x' (the nearest name is rtmo-"), ("gone.onnx", "there is no file gone.onnx")],
)
def test_show_of_nothing_is_one_line(home, capsys, name, says):
    code, out, err = run(home, capsys, "show", name)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_check_is_what_the_list_shows_then(home, tmp_path, capsys):
    mine = make_model(tmp_path / "mine.onnx", side_px=96)
    code, out, _ = run(home, capsys, "check", BUNDLED_MODEL, str(mine), "--device", "cpu", "--json")
    assert code == 0
    checked = json.loads(out)
    assert [(row["batch"], row["frames_per_s"]) for row in checked] == [(1, 1000 / row["frame_ms"]) for row in checked]
    assert checked[0]["people_per_frame"] == pytest.approx(5 / 3)
    for asked, row in zip((BUNDLED_MODEL, str(mine)), checked, strict=True):
        facts = json.loads(run(home, capsys, "show", asked, "--json")[1])
        assert (facts["frame_ms"], facts["speeds"][0]["device"]) == (row["frame_ms"], row["device"])


def test_a_check_that_failed_measures_nothing(home, tmp_path, capsys):
    (tmp_path / "text.onnx").write_text("no network")
    assert run(home, capsys, "check", str(tmp_path / "text.onnx"))[0] == 1
    assert not (home / "models").exists()


def test_a_folder_that_cannot_be_written_does_not_fail_a_check(home, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POSELINE_MODELS_DIR", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    code, out, err = run(home, capsys, "check", BUNDLED_MODEL, "--device", "cpu")
    assert code == 0
    assert "the speed is not kept" in err
    assert "ms/frame: one slot alone, without reading the video" in out
