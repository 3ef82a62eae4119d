"""Where models may come from besides their publisher, and the file of weights that a team trusts."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.errors import InvalidWeights, UsageError
from pipeline.inference.catalogue import find_entry
from pipeline.inference.weights.fetcher import FetchedFile, Fetcher, needed_weights
from pipeline.inference.weights.pins import add_pin, read_pins
from pipeline.inference.weights.sources import LocalSource, WebSource, find_source
from pipeline.inference.zoo import find_model
from tests.support.model_publisher import Publisher, left_in, publishing, zipped
from tests.support.onnx_maker import ONE_PERSON, make_model

WEIGHTS = find_entry("rtmo-t").pose
PATH = "rtmo/onnx_sdk"
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


@pytest.fixture
def brought(tmp_path) -> Path:
    folder = tmp_path / "brought"
    folder.mkdir()
    return folder


def fetch_from(place: str, models: Path, pins: Path | None = None) -> FetchedFile:
    return Fetcher(models, find_source(place, [WEIGHTS]), pins).fetch(WEIGHTS)


@pytest.mark.parametrize(
    ("name", "is_zip"),
    [
        (f"{ZIP}.zip", True),
        (f"{ZIP}.zip", False),  # told by its content
        (f"{PATH}/{ZIP}.zip", True),
        ("rtmo-t.onnx", False),
        ("rtmo-t.onnx", True),
        ("rtmo-t.zip", True),
        (f"{ZIP}.onnx", False),  # as rtmlib keeps them
        (f"{ZIP}/end2end.onnx", False),
        (f"{ZIP}/20231219/rtmo-t/end2end.onnx", False),
        (f"{PATH}/{ZIP}/end2end.onnx", False),
    ],
)
def test_a_folder_in_any_layout(models, onnx, brought, name, is_zip):
    file = brought / name
    file.parent.mkdir(parents=True, exist_ok=True)
    content = zipped({"a/end2end.onnx": onnx.read_bytes()}) if is_zip else onnx.read_bytes()
    file.write_bytes(content)
    fetched = fetch_from(str(brought), models)
    assert fetched.path.read_bytes() == onnx.read_bytes()
    assert find_model("rtmo-t", models).path == fetched.path
    assert file.read_bytes() == content, "what was brought is left as it is"


def test_one_file_for_a_model_of_one_file(models, onnx, tmp_path):
    assert fetch_from(str(onnx), models).path.read_bytes() == onnx.read_bytes()
    packed = tmp_path / "any name.zip"
    packed.write_bytes(zipped({"end2end.onnx": onnx.read_bytes()}))
    assert fetch_from(str(packed), tmp_path / "others").path.read_bytes() == onnx.read_bytes()


def test_a_folder_without_the_model_says_what_it_looked_for(models, brought):
    (brought / ZIP / "a").mkdir(parents=True)
    (brought / ZIP / "b").mkdir()
    for folder in "ab":  # which of two is not guessed
        (brought / ZIP / folder / "end2end.onnx").write_bytes(b"x")
    with pytest.raises(InvalidWeights, match=rf"rtmo-t is not in .*; expected {ZIP}\.zip, rtmo-t\.onnx"):
        fetch_from(str(brought), models)
    assert left_in(models) == {".lock"}


def test_a_file_of_other_weights_is_refused_by_its_own_name(models, onnx, brought):
    fetch_from(str(onnx), models).path.unlink()
    (brought / "rtmo-t.onnx").write_bytes(b"broken")
    with pytest.raises(InvalidWeights, match="differs from the file that was first fetched"):
        fetch_from(str(brought), models)
    with pytest.raises(InvalidWeights, match=r"brought/rtmo-t\.onnx cannot be loaded"):
        fetch_from(str(brought), models / "new")


def test_an_address_of_one_file(models, onnx, publisher):
    publisher.bodies["best.onnx"] = onnx.read_bytes()
    assert fetch_from(f"{publisher.url}best.onnx?key=1", models).path.read_bytes() == onnx.read_bytes()
    assert publisher.paths == ["/projects/best.onnx?key=1"]


def test_what_a_place_may_be(tmp_path, onnx):
    assert find_source("https://models.example.org/all", [WEIGHTS]) == WebSource(("https://models.example.org/all",))
    assert find_source("https://models.example.org/a.ZIP", [WEIGHTS]).is_file
    assert find_source(str(tmp_path), needed_weights(["rtmpose-s"])) == LocalSource(tmp_path)


@pytest.mark.parametrize(
    ("place", "names", "says"),
    [
        ("nowhere", ["rtmo-t"], "nowhere does not exist; name a folder"),
        ("http://models.example.org/", ["rtmo-t"], "https only"),
        ("file:///etc/", ["rtmo-t"], "https only"),
        ("https://[a/", ["rtmo-t"], "is not an address"),
        (
            "https://a.org/x.zip?key=1",
            ["rtmpose-s"],
            r"x\.zip is one file, but 2 are needed \(yolox-tiny-humanart, rtmp",
        ),
        (__file__, ["rtmo-t", "rtmo-s"], "is one file, but 2 are needed"),
    ],
)
def test_what_a_place_may_not_be(place, names, says):
    with pytest.raises(UsageError, match=says):
        find_source(place, needed_weights(names))


def test_what_is_first_seen_is_pinned_and_everything_else_refused(models, onnx, tmp_path):
    pins = tmp_path / "weights.json"
    pins.write_text(json.dumps({"zebra": "0" * 64}))
    known = sha256(onnx.read_bytes()).hexdigest()
    assert fetch_from(str(onnx), models, pins).is_pinned_now
    assert pins.read_text() == json.dumps({"rtmo-t": known, "zebra": "0" * 64}, indent=2) + "\n"
    assert not fetch_from(str(onnx), models, pins).is_pinned_now
    assert not fetch_from(str(onnx), tmp_path / "second machine", pins).is_pinned_now

    other = make_model(tmp_path / "other.onnx", dets=ONE_PERSON + 1)
    with pytest.raises(InvalidWeights) as caught:
        fetch_from(str(other), tmp_path / "third machine", pins)
    for part in (str(other), known, sha256(other.read_bytes()).hexdigest(), str(pins)):
        assert part in caught.value.message
    assert left_in(tmp_path / "third machine") == {".lock"}
    assert read_pins(pins)["rtmo-t"] == known


def test_pins_hold_for_what_is_here_already(models, onnx, tmp_path):
    pins = tmp_path / "weights.json"
    fetch_from(str(onnx), models)
    assert fetch_from(str(onnx), models, pins).is_pinned_now, "also what was fetched before there were pins"
    pins.write_text(json.dumps({"rtmo-t": "1" * 64}))
    with pytest.raises(InvalidWeights, match=rf"rtmo-t\.onnx is not the rtmo-t that .* pins .*, not {'1' * 64}"):
        fetch_from(str(onnx), models, pins)
    assert find_model("rtmo-t", models).path.is_file(), "nothing was changed"


def test_what_is_no_model_is_not_pinned(models, tmp_path):
    bad, pins = tmp_path / "bad.onnx", tmp_path / "weights.json"
    bad.write_bytes(b"bad")
    with pytest.raises(InvalidWeights, match="cannot be loaded"):
        fetch_from(str(bad), models, pins)
    assert not pins.exists()


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"rtmo-t": "short"}', '{"rtmo-t": null}', f'{{"a": "{"A" * 64}"}}']
)
def test_unreadable_pins_are_one_line_before_anything_is_fetched(models, brought, tmp_path, content):
    pins = tmp_path / "weights.json"
    pins.write_text(content)
    with pytest.raises(UsageError, match=r"weights\.json cannot be used for pins"):
        fetch_from(str(brought), models, pins)
    with pytest.raises(UsageError, match="is not a folder"):
        fetch_from(str(brought), models, tmp_path / "gone" / "weights.json")


def test_pins_behind_a_link_stay_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "weights.json"
    link.symlink_to(tmp_path / "real" / "weights.json")
    assert add_pin(link, "a", "0" * 64)
    assert link.is_symlink()
    assert read_pins(tmp_path / "real" / "weights.json") == {"a": "0" * 64}
    assert left_in(tmp_path / "real") == {"weights.json"}


def test_pins_of_many_at_once_are_all_kept(tmp_path):
    pins, start = tmp_path / "weights.json", threading.Barrier(8)

    def pin(number: int) -> None:
        start.wait()
        add_pin(pins, f"model-{number}", f"{number:064x}")

    threads = [threading.Thread(target=pin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_pins(pins) == {f"model-{number}": f"{number:064x}" for number in range(8)}


def test_a_place_is_not_asked_for_what_is_here(models, onnx, brought):
    shutil.copy(onnx, brought / "rtmo-t.onnx")
    first = fetch_from(str(brought), models)
    (brought / "rtmo-t.onnx").unlink()
    assert fetch_from(str(brought), models).sha256 == first.sha256
