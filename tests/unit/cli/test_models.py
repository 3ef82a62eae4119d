"""`poseline models fetch` as a person and a script see it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.progress import Bar
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.weights.fetcher import needed_weights
from pipeline.inference.zoo import find_model
from tests.support.model_publisher import Publisher, left_in, publishing, zipped
from tests.support.onnx_maker import make_model
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin


@pytest.fixture
def publisher(monkeypatch) -> Iterator[Publisher]:
    with publishing(monkeypatch) as publisher:
        yield publisher


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path) -> Path:
    """The publisher's files for `rtmpose-s` and `rtmo-t`, in three layouts."""
    folder = tmp_path / "brought"
    detector, pose = (Path(weights.zip_path).name for weights in needed_weights(["rtmpose-s"]))
    unpacked = folder / Path(detector).stem / "20230504"
    unpacked.mkdir(parents=True)
    make_yolox_twin(unpacked / "end2end.onnx", side_px=416, nms_inside=True)
    network = make_simcc_twin(tmp_path / "pose.onnx", width_px=192, height_px=256, keypoints=17)
    (folder / pose).write_bytes(zipped({"end2end.onnx": network.read_bytes()}))
    make_model(folder / "rtmo-t.onnx")
    return folder


def fetch(home: Path, *args: str) -> int:
    return main(["--home", str(home), "models", "fetch", *args])


def test_models_out_of_a_folder_as_facts(home, folder, capsys):
    assert fetch(home, "rtmpose-s", "rtmo-t@bf16", BUNDLED_MODEL, "--from", str(folder), "--json") == 0
    said = capsys.readouterr()
    assert said.err == ""
    two, one, bundled = json.loads(said.out)
    assert [model["name"] for model in (two, one, bundled)] == ["rtmpose-s", "rtmo-t@bf16", BUNDLED_MODEL]
    assert [file["name"] for file in two["files"]] == ["yolox-tiny-humanart", "rtmpose-s"]
    assert one["files"][0]["path"] == str(home / "models" / "rtmo-t.onnx")
    for file in (*two["files"], *one["files"], *bundled["files"]):
        content = Path(file["path"]).read_bytes()
        assert (file["sha256"], file["bytes"]) == (sha256(content).hexdigest(), len(content))


def test_a_person_is_told_where_it_is_and_what_was_pinned(home, folder, tmp_path, capsys):
    pins = tmp_path / "weights.json"
    assert fetch(home, "rtmo-t", "--from", str(folder), "--pins", str(pins)) == 0
    known = json.loads(pins.read_text())["rtmo-t"][:12]
    assert capsys.readouterr().out.splitlines() == [
        f"rtmo-t: {home / 'models' / 'rtmo-t.onnx'}",
        f"pinned rtmo-t ({known}) in checksums.json",
        f"pinned rtmo-t ({known}) in {pins}; commit it",
    ]
    assert fetch(home, "rtmo-t", "--from", str(folder), "--pins", str(pins)) == 0
    assert capsys.readouterr().out.splitlines() == [f"rtmo-t: {home / 'models' / 'rtmo-t.onnx'}"]


def test_settings_name_the_mirror_and_the_pins(home, folder, publisher, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("POSELINE_MODELS_MIRROR", publisher.url)
    monkeypatch.setenv("POSELINE_MODELS_PINS", str(tmp_path / "weights.json"))
    publisher.body = (folder / "rtmo-t.onnx").read_bytes()
    assert fetch(home, "rtmo-t") == 0
    assert len(publisher.paths) == 1
    assert set(json.loads((tmp_path / "weights.json").read_text())) == {"rtmo-t"}
    assert fetch(home, "rtmpose-s", "--from", str(folder)) == 0, "who names a place means that one"
    assert len(publisher.paths) == 1


def test_pins_hold_wherever_a_model_is_asked_for_by_its_name(home, folder, tmp_path, monkeypatch, capsys):
    assert fetch(home, "rtmo-t", "--from", str(folder)) == 0
    pins = tmp_path / "weights.json"
    pins.write_text(json.dumps({"rtmo-t": "0" * 64}))
    monkeypatch.setenv("POSELINE_MODELS_PINS", str(pins))
    video = tmp_path / "clip.mp4"
    video.touch()
    capsys.readouterr()
    for command in (["models", "check", "rtmo-t"], ["ingest", str(video), "--model", "rtmo-t"]):
        assert main(["--home", str(home), *command]) == 1
        said = capsys.readouterr()
        assert f"is not the rtmo-t that {pins} pins" in said.out + said.err
    pins.write_text(json.dumps(["rtmo-t"]))
    assert main(["--home", str(home), "ingest", str(video), "--model", "rtmo-t"]) == 2
    assert "cannot be used for pins (it is not a JSON object)" in capsys.readouterr().err
    pins.unlink()
    assert main(["--home", str(home), "ingest", str(video), "--model", "rtmo-t"]) == 2
    assert f"there are no pins at {pins}" in capsys.readouterr().err


def test_the_list_says_what_each_model_is(home, folder, capsys):
    assert fetch(home, "rtmpose-s", "--from", str(folder)) == 0
    capsys.readouterr()
    assert main(["--home", str(home), "models", "--json"]) == 0
    models = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    here, away = models["rtmpose-s"], models["rtmw-l"]
    assert here["on_this_machine"]
    assert here["fingerprint"] == find_model("rtmpose-lightweight", home / "models").spec.fingerprint
    assert list(here["weights"]) == ["yolox-tiny-humanart", "rtmpose-s"]
    assert all(len(sha256) == 64 for sha256 in here["weights"].values())
    assert here["also"] == ["rtmpose-lightweight"]
    assert not away["on_this_machine"]
    assert away["fingerprint"] is None
    assert set(away["weights"].values()) == {None}
    assert len(away["keypoint_names"]) == away["keypoints"] == 133
    assert max(map(max, away["skeleton"])) < 133
    assert (away["score_threshold"], away["nms_threshold"]) == (0.3, 0.45)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("rtmo-x",), 2, "there is no model 'rtmo-x'"),
        (("rtmo-t", "rtmo-x"), 2, "there is no model 'rtmo-x'"),
        (("rtmo-t", "--from", "nowhere"), 2, "nowhere does not exist"),
        (("rtmo-t", "--mirror", "http://models.example.org"), 2, "https only"),
        (("rtmpose-s", "--from", __file__), 2, "is one file, but 2 are needed"),
        (("rtmo-t", "--from", str(Path(__file__).parent)), 1, "rtmo-t is not in"),
        (("rtmo-t", "--from", __file__), 1, "cannot be loaded"),
    ],
)
def test_what_cannot_be_is_one_line(home, capsys, args, code, says):
    assert fetch(home, *args) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.startswith("poseline: ")
    assert len(said.err.splitlines()) == 1


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(home, folder, publisher, monkeypatch, capsys):
    publisher.give(folder / "rtmo-t.onnx")
    publisher.hold_after = 200_000
    at = Bar.at

    def stop_half_way(bar: Bar, done: int) -> None:
        at(bar, done)
        if done == publisher.hold_after:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "at", stop_half_way)
        assert fetch(home, "rtmo-t", "--mirror", publisher.url) == 130
    publisher.go_on.set()
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [
        "0.2 MB are kept; the same command resumes the download",
        "poseline: stopped",
    ]
    assert fetch(home, "rtmo-t", "--mirror", publisher.url) == 0
    assert publisher.asked[-1][1] == "bytes=200000-"
    assert left_in(home / "models") == {"rtmo-t.onnx", "checksums.json", ".lock"}
    assert "0.2 MB of rtmo-t are here already; resuming" in capsys.readouterr().err
