"""Models by name: what is refused, what is fetched, and that nothing but the first weights pass under a name."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelUnusable, ServiceUnavailable, UnknownModel, UsageError
from pipeline.inference import downloads, zoo
from pipeline.inference.catalogue import BUNDLED_MODEL, ENTRIES
from pipeline.inference.zoo import FoundModel, fetch_model, find_model, list_models, load_model
from tests.unit.onnx_maker import ONE_PERSON, make_model

NAMES = [BUNDLED_MODEL, "rtmo-t", "rtmo-s", "rtmo-m", "rtmo-l"]


class Publisher:
    """A server on loopback that gives `body` for every path, and remembers the paths."""

    def __init__(self) -> None:
        self.body = b""
        self.claimed_bytes: int | None = None
        self.status = 200
        self.location = ""
        self.pause_s = 0.0
        self.paths: list[str] = []
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.paths.append(self.path)
                time.sleep(publisher.pause_s)
                self.send_response(publisher.status)
                self.send_header("Content-Length", str(publisher.claimed_bytes or len(publisher.body)))
                if publisher.location:
                    self.send_header("Location", publisher.location)
                self.end_headers()
                self.wfile.write(publisher.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/projects/"

    def give(self, onnx: Path, member: str = "20231219/rtmo-t/end2end.onnx") -> None:
        self.give_zip({member: onnx.read_bytes(), "20231219/rtmo-t/detail.json": b"{}"})

    def give_zip(self, members: dict[str, bytes]) -> None:
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        self.body = memory.getvalue()


@pytest.fixture
def publisher(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    publisher = Publisher()
    thread = threading.Thread(target=publisher.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield publisher
    publisher.server.shutdown()
    publisher.server.server_close()
    thread.join()


@pytest.fixture
def onnx(tmp_path) -> Path:
    return make_model(tmp_path / "made.onnx", side_px=416)


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "models"


def left_in(models: Path) -> set[str]:
    return {path.name for path in models.iterdir()}


def test_the_bundled_model_is_here_and_the_others_are_known(models):
    states = list_models(models)
    assert [state.name for state in states] == NAMES
    assert [state.is_here for state in states] == [True, False, False, False, False]
    assert [state.entry.input_side_px for state in states] == [384, 416, 640, 640, 640]
    assert states[0].entry.origin == "bundled"
    assert states[2].entry.origin.startswith("https://download.openmmlab.com/mmpose/v1/projects/rtmo/onnx_sdk/rtmo-s_")
    assert not models.exists(), "looking must not write"


def test_the_bundled_model_is_what_its_card_says(models):
    found = fetch_model(BUNDLED_MODEL, models)
    card = (found.path.parent / "README.md").read_text()
    assert found.spec.weights_sha256 in card
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == found.spec.weights_sha256
    assert (found.spec.score_threshold, found.spec.nms_threshold) == (0.2, 0.45)


def test_naming_models_does_not_load_onnxruntime():
    code = "import sys, pipeline.inference.zoo; sys.exit('onnxruntime' in sys.modules or 'rtmlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "guess"), [("rtmo-x", "did you mean rtmo-"), ("RTMO-S", "rtmo-s?"), ("???", "Known")])
def test_an_unknown_model_names_the_known_ones(models, name, guess):
    with pytest.raises(UnknownModel, match="there is no model") as caught:
        find_model(name, models)
    assert guess in caught.value.message
    assert all(known in caught.value.message for known in NAMES)


def test_a_model_that_was_not_fetched_says_how(models):
    with pytest.raises(ModelUnusable) as caught:
        find_model("rtmo-s", models)
    assert caught.value.message == "rtmo-s is not on this machine; fetch it with `poseline models fetch rtmo-s`"


def test_a_file_without_a_checksum_is_not_trusted(models, onnx):
    models.mkdir()
    shutil.copy(onnx, models / "rtmo-t.onnx")
    assert not list_models(models)[1].is_here
    with pytest.raises(ModelUnusable, match=r"no checksum.*models fetch rtmo-t"):
        find_model("rtmo-t", models)


def test_fetch_then_load(models, onnx, publisher):
    publisher.give(onnx)
    progress: list[tuple[int, int | None]] = []
    found = fetch_model("rtmo-t", models, lambda *each: progress.append(each), mirror=publisher.url)
    assert publisher.paths == ["/projects/rtmo/onnx_sdk/rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219.zip"]
    assert progress[-1] == (len(publisher.body), len(publisher.body))
    assert found == find_model("rtmo-t", models)
    assert found.path.read_bytes() == onnx.read_bytes()
    assert found.path.stat().st_mode & 0o777 == 0o644
    assert left_in(models) == {"rtmo-t.onnx", "checksums.json", ".lock"}
    assert list_models(models)[1].is_here
    [poses] = load_model(found, "cpu").detect(np.zeros((1, 416, 416, 3), np.uint8), [0.5])
    np.testing.assert_array_equal(poses.boxes_xyxy, ONE_PERSON[:, :4] * 2)

    assert fetch_model("rtmo-t", models, mirror=publisher.url) == found
    assert len(publisher.paths) == 1, "what is here is not fetched again"


def test_a_read_only_folder_with_the_model_is_enough(models, onnx, publisher):
    publisher.give(onnx)
    found = fetch_model("rtmo-t", models, mirror=publisher.url)
    (models / ".lock").unlink()
    models.chmod(0o555)
    assert fetch_model("rtmo-t", models) == found
    assert not (models / ".lock").exists()


def test_other_weights_under_a_known_name_are_refused(models, onnx, publisher, tmp_path):
    publisher.give(onnx)
    found = fetch_model("rtmo-t", models, mirror=publisher.url)
    found.path.unlink()
    publisher.give(make_model(tmp_path / "other.onnx", dets=ONE_PERSON + 1))
    with pytest.raises(ModelUnusable, match=r"not what it was when it was first fetched.*checksums\.json"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {"checksums.json", ".lock"}
    publisher.give(onnx)
    assert fetch_model("rtmo-t", models, mirror=publisher.url) == found


def test_a_damaged_file_is_not_loaded_and_a_fetch_mends_it(models, onnx, publisher):
    publisher.give(onnx)
    found = fetch_model("rtmo-t", models, mirror=publisher.url)
    with found.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelUnusable, match=r"changed \(SHA-256 .*models fetch rtmo-t"):
        load_model(found, "cpu")
    load_model(fetch_model("rtmo-t", models, mirror=publisher.url), "cpu")


def test_changed_bundled_weights_are_refused(models, tmp_path):
    found = find_model(BUNDLED_MODEL, models)
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(found.path.read_bytes()[:-1])
    with pytest.raises(ModelUnusable, match="install Poseline again"):
        load_model(FoundModel(found.spec, copy), "cpu")
    with pytest.raises(ModelUnusable, match="cannot be read"):
        load_model(FoundModel(found.spec, tmp_path / "gone.onnx"), "cpu")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"model.onnx": b"x"}, "holds 0 files"),
        ({"a/end2end.onnx": b"x", "b/end2end.onnx": b"y"}, "holds 2 files"),
        ({"../../end2end.onnx": b"no model"}, "cannot be loaded"),
    ],
)
def test_a_zip_without_the_model_is_refused_and_not_pinned(models, publisher, members, says):
    publisher.give_zip(members)
    with pytest.raises(ModelUnusable, match=says):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {".lock"}


def test_the_wrong_size_of_model_is_refused(models, publisher, tmp_path):
    publisher.give(make_model(tmp_path / "wrong.onnx", side_px=640))
    with pytest.raises(ModelUnusable, match="should take 416 px, but its file takes 640 px"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {".lock"}


def test_names_in_the_zip_are_never_paths(models, onnx, publisher):
    publisher.give(onnx, member="../../../escaped/end2end.onnx")
    fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {"rtmo-t.onnx", "checksums.json", ".lock"}
    assert not (models.parent / "escaped").exists()


def test_no_zip_is_refused(models, publisher):
    publisher.body = b"<html>we moved</html>"
    with pytest.raises(ModelUnusable, match="no sound zip file"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {".lock"}


def test_a_flipped_bit_in_the_zip_is_refused(models, onnx, publisher):
    publisher.give(onnx)
    middle = publisher.body.index(b"end2end.onnx") + 60
    publisher.body = publisher.body[:middle] + bytes([publisher.body[middle] ^ 1]) + publisher.body[middle + 1 :]
    with pytest.raises(ModelUnusable, match="no sound zip file"):
        fetch_model("rtmo-t", models, mirror=publisher.url)


def test_a_truncated_body_is_refused(models, onnx, publisher):
    publisher.give(onnx)
    publisher.claimed_bytes = len(publisher.body) + 1000
    with pytest.raises(ServiceUnavailable, match=r"broke off after \d+ of \d+ bytes"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {".lock"}


def test_too_much_is_refused(models, onnx, publisher, monkeypatch):
    publisher.give(onnx)
    monkeypatch.setattr(downloads, "MAX_BYTES", len(publisher.body) - 1)
    with pytest.raises(ModelUnusable, match="larger than"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    publisher.give_zip({"end2end.onnx": bytes(5 * 2**20)})  # a small zip of a large file
    monkeypatch.setattr(downloads, "MAX_BYTES", 2**20)
    assert len(publisher.body) < 2**20
    with pytest.raises(ModelUnusable, match=r"end2end\.onnx is larger than"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {".lock"}


def test_offline_is_one_line(models):
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServiceUnavailable, match="cannot be reached") as caught:
            fetch_model("rtmo-s", models, mirror=mirror)
    assert "\n" not in caught.value.message
    assert BUNDLED_MODEL in caught.value.message


def test_a_refusing_server_is_one_line(models, publisher):
    publisher.status = 404
    with pytest.raises(ServiceUnavailable, match="answers 404"):
        fetch_model("rtmo-s", models, mirror=publisher.url)


def test_a_silent_server_is_left(models, publisher, monkeypatch):
    monkeypatch.setattr(downloads, "SILENCE_S", 0.1)
    publisher.pause_s = 0.5
    with pytest.raises(ServiceUnavailable, match="timed out"):
        fetch_model("rtmo-s", models, mirror=publisher.url)


def test_the_second_publisher_is_tried_when_the_first_is_down(models, onnx, publisher, monkeypatch):
    publisher.give(onnx)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        down = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        monkeypatch.setattr(zoo, "PUBLISHER_PREFIXES", (down, publisher.url))
        assert fetch_model("rtmo-t", models).path.is_file()


@pytest.mark.parametrize("mirror", ["http://models.example.org/", "file:///etc/", "ftp://127.0.0.1/", "models"])
def test_only_https_and_loopback_are_mirrors(models, mirror):
    with pytest.raises(UsageError, match="https only"):
        fetch_model("rtmo-s", models, mirror=mirror)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://models.example.org/x.zip"])
def test_a_redirect_to_something_unsafe_is_refused(models, publisher, location):
    publisher.status, publisher.location = 302, location
    with pytest.raises((UsageError, ServiceUnavailable), match=r"https only|is not allowed"):
        fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {".lock"}


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_unreadable_checksums_are_one_line(models, content):
    models.mkdir()
    (models / "checksums.json").write_text(content)
    with pytest.raises(ModelUnusable, match=r"checksums\.json cannot be read"):
        find_model("rtmo-t", models)


def test_a_checksum_that_is_none_is_one_line(models, onnx):
    models.mkdir()
    shutil.copy(onnx, models / "rtmo-t.onnx")
    (models / "checksums.json").write_text(json.dumps({"rtmo-t": "short"}))
    with pytest.raises(ModelUnusable, match="holds no SHA-256 for rtmo-t"):
        find_model("rtmo-t", models)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, publisher):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelUnusable, match="POSELINE_MODELS_DIR"):
        fetch_model("rtmo-t", tmp_path / "file" / "models", mirror=publisher.url)


def test_what_a_dead_fetch_left_is_cleared_away(models, onnx, publisher):
    models.mkdir()
    (models / ".fetch-dead").write_bytes(b"half")
    publisher.give(onnx)
    fetch_model("rtmo-t", models, mirror=publisher.url)
    assert left_in(models) == {"rtmo-t.onnx", "checksums.json", ".lock"}


def test_two_processes_at_once_download_once(models, onnx, publisher):
    publisher.give(onnx)
    publisher.pause_s = 0.5
    code = (
        "import sys; from pathlib import Path; from pipeline.inference.zoo import fetch_model, load_model\n"
        "load_model(fetch_model('rtmo-t', Path(sys.argv[1]), mirror=sys.argv[2]), 'cpu')"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(models), publisher.url]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert len(publisher.paths) == 1


def test_threads_fetching_different_models_lose_no_checksum(models, publisher, tmp_path):
    names = ["rtmo-s", "rtmo-m", "rtmo-l"]
    publisher.give(make_model(tmp_path / "m.onnx", side_px=640))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: fetch_model(name, models, mirror=publisher.url), names))
    assert set(json.loads((models / "checksums.json").read_text())) == set(names)


def test_every_entry_makes_a_spec():
    for entry in ENTRIES.values():
        assert entry.spec("0" * 64).name == entry.name
