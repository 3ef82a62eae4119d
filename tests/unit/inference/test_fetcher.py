"""Fetching models: what comes is whole, once, and never other weights than the first."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InvalidWeights, ServiceUnavailable, UnknownModel, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL, find_entry
from pipeline.inference.engines.placement import Placement
from pipeline.inference.weights import http_download
from pipeline.inference.weights.fetcher import Fetcher, needed_weights
from pipeline.inference.weights.sources import PUBLISHER, WebSource, mirror_source
from pipeline.inference.zoo import find_model, list_models, load_model
from tests.support.model_publisher import Publisher, fetch, left_in, publishing, zipped
from tests.support.onnx_maker import ONE_PERSON, make_model
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin

CPU = Placement("cpu")
ZIP = "rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219"


@pytest.fixture
def publisher(monkeypatch) -> Iterator[Publisher]:
    with publishing(monkeypatch) as publisher:
        yield publisher


@pytest.fixture
def onnx(tmp_path) -> Path:
    return make_model(tmp_path / "made.onnx", side_px=416)


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "models"


def test_fetch_then_load(models, onnx, publisher):
    publisher.give(onnx)
    progress: list[tuple[int, int | None]] = []
    [weights] = needed_weights(["rtmo-t"])
    file = Fetcher(models, mirror_source(publisher.url)).fetch(weights, lambda *each: progress.append(each))
    assert publisher.paths == [f"/projects/rtmo/onnx_sdk/{ZIP}.zip"]
    assert progress[0] == (0, len(publisher.body))
    assert progress[-1] == (len(publisher.body), len(publisher.body))
    found = find_model("rtmo-t", models)
    assert (file.path, file.sha256, file.is_first) == (found.path, found.spec.pose.weights_sha256, True)
    assert found.path.read_bytes() == onnx.read_bytes()
    assert found.path.stat().st_mode & 0o777 == 0o644
    assert left_in(models) == {"rtmo-t.onnx", "checksums.json", ".lock"}
    assert {state.name for state in list_models(models) if state.is_local} == {BUNDLED_MODEL, "rtmo-t"}
    [poses] = load_model(found, CPU).detect(np.zeros((1, 416, 416, 3), np.uint8), [0.5])
    np.testing.assert_array_equal(poses.boxes_xyxy, ONE_PERSON[:, :4] * 2)

    again = Fetcher(models, mirror_source(publisher.url)).fetch(weights)
    assert (again.sha256, again.is_first) == (file.sha256, False)
    assert len(publisher.paths) == 1, "what is here is not fetched again"


def test_every_file_that_models_share_is_fetched_once(models, publisher, tmp_path):
    wanted = needed_weights(["rtmpose-s", "rtmpose-s-feet@bf16", BUNDLED_MODEL, "rtmpose-lightweight"])
    assert [each.name for each in wanted] == ["yolox-tiny-humanart", "rtmpose-s", "rtmpose-s-feet"]
    files = [
        make_yolox_twin(tmp_path / "yolox.onnx", side_px=416, nms_inside=True),
        make_simcc_twin(tmp_path / "body.onnx", width_px=192, height_px=256, keypoints=17),
        make_simcc_twin(tmp_path / "feet.onnx", width_px=192, height_px=256, keypoints=26),
    ]
    for weights, file in zip(wanted, files, strict=True):
        publisher.bodies[Path(weights.zip_path).name] = zipped({"a/end2end.onnx": file.read_bytes()})
    fetch("rtmpose-s", models, publisher.url)
    found = fetch("rtmpose-s-feet@bf16", models, publisher.url)
    assert publisher.paths == [f"/projects/{weights.zip_path}" for weights in wanted]
    assert [path.read_bytes() for path in found.paths.values()] == [files[0].read_bytes(), files[2].read_bytes()]
    assert load_model(fetch("rtmpose-s-feet", models, publisher.url), CPU).spec.side_px is None
    assert set(json.loads((models / "checksums.json").read_text())) == {each.name for each in wanted}


def test_a_detector_is_no_pose_network(models, publisher, tmp_path):
    publisher.give(make_yolox_twin(tmp_path / "yolox.onnx", side_px=416, nms_inside=True))
    with pytest.raises(InvalidWeights, match="RTMPose's contract"):
        fetch("rtmpose-s", models, publisher.url)
    assert left_in(models) == {"yolox-tiny-humanart.onnx", "checksums.json", ".lock"}


def test_a_wrong_name_is_said_before_anything_is_fetched():
    with pytest.raises(UnknownModel, match="there is no model 'rtmo-x'"):
        needed_weights(["rtmo-t", "rtmo-x"])
    with pytest.raises(UnknownModel, match="no precision"):
        needed_weights(["rtmo-t@int8"])
    with pytest.raises(UsageError, match=r"mine\.onnx is a file of yours"):
        needed_weights(["mine.onnx@bf16"])


def test_a_read_only_folder_with_the_model_is_enough(models, onnx, publisher):
    publisher.give(onnx)
    found = fetch("rtmo-t", models, publisher.url)
    (models / ".lock").unlink()
    models.chmod(0o555)
    assert fetch("rtmo-t", models, publisher.url) == found
    assert not (models / ".lock").exists()


def test_other_weights_under_a_known_name_are_refused(models, onnx, publisher, tmp_path):
    publisher.give(onnx)
    found = fetch("rtmo-t", models, publisher.url)
    found.path.unlink()
    publisher.give(make_model(tmp_path / "other.onnx", dets=ONE_PERSON + 1))
    with pytest.raises(InvalidWeights, match=r"differs from the file that was first fetched.*checksums\.json"):
        fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {"checksums.json", ".lock"}
    publisher.give(onnx)
    assert fetch("rtmo-t", models, publisher.url) == found


def test_a_damaged_file_is_not_loaded_and_a_fetch_mends_it(models, onnx, publisher):
    publisher.give(onnx)
    found = fetch("rtmo-t", models, publisher.url)
    with found.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InvalidWeights, match=r"changed \(SHA-256 .*models fetch rtmo-t"):
        load_model(found, CPU)
    load_model(fetch("rtmo-t", models, publisher.url), CPU)


def test_what_came_is_told_by_its_content(models, onnx, publisher):
    publisher.body = onnx.read_bytes()  # though the address ends in .zip
    assert fetch("rtmo-t", models, publisher.url).path.read_bytes() == onnx.read_bytes()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (zipped({"model.onnx": b"x"}), "holds 0 files called end2end.onnx"),
        (zipped({"a/end2end.onnx": b"x", "b/end2end.onnx": b"y"}), "holds 2 files"),
        (zipped({"../../end2end.onnx": b"no model"}), "cannot be loaded"),
        (zipped({"end2end.onnx": b"x"})[:-9], "a damaged zip file"),
        (b"no model", "cannot be loaded"),
        (b"", "cannot be loaded"),
        (b"\n<html>we moved</html>", "gives a web page"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a zip has the time in it, and two processes two times
)
def test_what_is_no_model_is_refused_and_not_pinned(models, publisher, body, says):
    publisher.body = body
    with pytest.raises(InvalidWeights, match=says) as caught:
        fetch("rtmo-t", models, publisher.url)
    assert f"{ZIP}.zip" in caught.value.message, "it says where from"
    assert left_in(models) == {".lock"}


def test_the_wrong_size_of_model_is_refused(models, publisher, tmp_path):
    publisher.give(make_model(tmp_path / "wrong.onnx", side_px=640))
    with pytest.raises(InvalidWeights, match=r"it takes input float32 \[\?, 3, 640, 640\].*416"):
        fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {".lock"}


def test_names_in_the_zip_are_never_paths(models, onnx, publisher):
    publisher.give(onnx, member="../../../escaped/end2end.onnx")
    fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {"rtmo-t.onnx", "checksums.json", ".lock"}
    assert not (models.parent / "escaped").exists()


def test_a_flipped_bit_in_the_zip_is_refused(models, onnx, publisher):
    publisher.give(onnx)
    middle = publisher.body.index(b"end2end.onnx") + 60
    publisher.body = publisher.body[:middle] + bytes([publisher.body[middle] ^ 1]) + publisher.body[middle + 1 :]
    with pytest.raises(InvalidWeights, match="a damaged zip file"):
        fetch("rtmo-t", models, publisher.url)


def test_too_much_is_refused(models, onnx, publisher, monkeypatch):
    publisher.give(onnx)
    monkeypatch.setattr(http_download, "MAX_BYTES", len(publisher.body) - 1)
    with pytest.raises(InvalidWeights, match="larger than"):
        fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {".lock"}
    publisher.body = zipped({"end2end.onnx": bytes(5 * 2**20)})  # a small zip of a large file
    monkeypatch.setattr(http_download, "MAX_BYTES", 2**20)
    assert len(publisher.body) < 2**20
    with pytest.raises(InvalidWeights, match=r"end2end\.onnx in .* is larger than"):
        fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {".lock"}


@pytest.fixture
def closed_server() -> Iterator[str]:
    """An address that is bound and not listening: every connection is refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_offline_is_one_line_with_every_address_and_the_mend(models, closed_server):
    pauses: list[float] = []
    fetcher = Fetcher(models, WebSource((f"{closed_server}/first/", f"{closed_server}/second")), pause=pauses.append)
    with pytest.raises(ServiceUnavailable, match="cannot be reached") as caught:
        fetcher.fetch(find_entry("rtmo-t").pose)
    for part in (
        f"{closed_server}/first/rtmo/onnx_sdk/{ZIP}.zip",
        f"{closed_server}/second/rtmo/",
        "--from",
        BUNDLED_MODEL,
    ):
        assert part in caught.value.message
    assert "\n" not in caught.value.message
    assert pauses == [], "who is offline is told at once"


def test_a_refusing_server_is_one_line(models, publisher):
    publisher.status = 404
    with pytest.raises(ServiceUnavailable, match="answers 404"):
        fetch("rtmo-s", models, publisher.url)
    assert len(publisher.paths) == 1


def test_a_silent_server_is_left(models, publisher, monkeypatch):
    monkeypatch.setattr(http_download, "SILENCE_S", 0.1)
    publisher.hold_after = 0
    with pytest.raises(ServiceUnavailable, match="timed out"):
        fetch("rtmo-s", models, publisher.url)


def test_the_second_publisher_is_tried_when_the_first_is_down(models, onnx, publisher, closed_server):
    publisher.give(onnx)
    assert len(PUBLISHER.addresses) == 2
    fetched = Fetcher(models, WebSource((closed_server, publisher.url))).fetch(find_entry("rtmo-t").pose)
    assert fetched.path.read_bytes() == onnx.read_bytes()


@pytest.mark.parametrize("url", ["http://models.example.org/", "file:///etc/", "ftp://127.0.0.1/", "models"])
def test_only_https_and_loopback_are_mirrors(url):
    with pytest.raises(UsageError, match="https only"):
        mirror_source(url)


@pytest.mark.parametrize("url", ["https://me:secret@models.example.org/", "https://[models/"])
def test_an_address_that_cannot_be_is_one_line_without_the_password(url):
    with pytest.raises(UsageError) as caught:
        mirror_source(url)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://models.example.org/x.zip"])
def test_a_redirect_to_something_unsafe_is_refused(models, publisher, location):
    publisher.status, publisher.location = 302, location
    with pytest.raises((UsageError, ServiceUnavailable), match=r"https only|is not allowed"):
        fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {".lock"}


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, publisher):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidWeights, match="POSELINE_MODELS_DIR"):
        fetch("rtmo-t", tmp_path / "file" / "models", publisher.url)
