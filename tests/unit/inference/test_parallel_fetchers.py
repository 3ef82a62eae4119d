"""Many who fetch at once, and one that is killed while it does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.inference.zoo import find_model
from tests.support.model_publisher import Publisher, fetch, left_in, publishing
from tests.support.onnx_maker import make_model


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


CHILD = """
import sys
from pathlib import Path
from pipeline.inference.weights.fetcher import Fetcher, needed_weights
from pipeline.inference.weights.sources import mirror_source
say = lambda *words: print(*words, flush=True)
[weights] = needed_weights(["rtmo-t"])
Fetcher(Path(sys.argv[1]), mirror_source(sys.argv[2]), say=say).fetch(weights, say)
"""


def child(models: Path, publisher: Publisher) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", CHILD, str(models), publisher.url]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_many_processes_at_once_download_once(models, onnx, publisher):
    publisher.give(onnx)
    publisher.hold_after = 1000
    with child(models, publisher) as first:
        assert publisher.was_asked.wait(60)
        with child(models, publisher) as second, child(models, publisher) as third:
            for waiting in (second, third):
                assert waiting.stdout.readline() == "another process fetches models; waiting for it\n"
            publisher.go_on.set()
            assert [each.wait(60) for each in (first, second, third)] == [0, 0, 0]
    assert len(publisher.paths) == 1
    assert find_model("rtmo-t", models).path.read_bytes() == onnx.read_bytes()


def test_a_fetch_that_was_killed_goes_on_and_leaves_nothing(models, onnx, publisher):
    publisher.give(onnx)
    half = publisher.hold_after = len(publisher.body) // 2
    with child(models, publisher) as killed:
        while int(killed.stdout.readline().split()[0]) < half:
            pass
        killed.kill()
    publisher.go_on.set()
    (models / ".fetch-dead").write_bytes(b"half")
    found = fetch("rtmo-t", models, publisher.url)
    assert found.path.read_bytes() == onnx.read_bytes()
    [_, gone_on] = publisher.ranges_asked
    assert gone_on is not None
    assert int(gone_on[len("bytes=") : -1]) > half - 2**16, "all but what was not written yet is kept"
    assert left_in(models) == {"rtmo-t.onnx", "checksums.json", ".lock"}


def test_threads_fetching_different_models_lose_no_checksum(models, publisher, tmp_path):
    names = ["rtmo-s", "rtmo-m", "rtmo-l"]
    publisher.give(make_model(tmp_path / "m.onnx", side_px=640))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: fetch(name, models, publisher.url), names))
    assert set(json.loads((models / "checksums.json").read_text())) == set(names)
