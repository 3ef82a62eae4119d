"""Downloads that break off: they go on where they were, and never with a piece of another file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InvalidWeights, ServiceUnavailable
from pipeline.inference.catalogue import find_entry
from pipeline.inference.weights import http_download
from pipeline.inference.weights.fetcher import Fetcher
from pipeline.inference.weights.sources import WebSource, mirror_source
from pipeline.inference.zoo import find_model
from tests.support.model_publisher import Publisher, fetch, http_date, left_in, publishing
from tests.support.onnx_maker import ONE_PERSON, make_model

WEIGHTS = find_entry("rtmo-t").pose
DONE = {"rtmo-t.onnx", "checksums.json", ".lock"}
EARLIER = "0.1 MB of rtmo-t are here already; resuming"
#: Tries of one call that get no further.
TRIES = len(http_download.PAUSES_S) + 1


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


def given_up(models: Path, publisher: Publisher, after: int, *, then: int = 0) -> str:
    """A fetch that got so many bytes, and then so many again and again; what was said in the end."""
    publisher.break_after = [after] + [then] * (TRIES - 1)
    with pytest.raises(ServiceUnavailable) as caught:
        fetch("rtmo-t", models, publisher.url)
    assert publisher.break_after == []
    publisher.asked.clear()
    return caught.value.message


def kept(models: Path) -> list[Path]:
    return sorted(path for path in models.glob(".partial-*") if path.suffix != ".json")


def test_a_connection_that_breaks_off_is_taken_up_again(models, onnx, publisher):
    publisher.give(onnx)
    publisher.break_after = [1000, 0, 0, 50_000, 0, 70_000]
    pauses: list[float] = []
    progress: list[int] = []
    Fetcher(models, mirror_source(publisher.url), pause=pauses.append).fetch(
        WEIGHTS, lambda done, _: progress.append(done)
    )
    at = [1000, 1000, 1000, 51_000, 51_000, 121_000]
    assert publisher.ranges_asked == [None, *(f"bytes={each}-" for each in at)]
    first, second, third = http_download.PAUSES_S
    assert pauses == [first, second, third, first, second, first], "who gets further is not given up"
    assert progress == sorted(progress)
    assert find_model("rtmo-t", models).path.read_bytes() == onnx.read_bytes()
    assert left_in(models) == DONE


def test_what_came_is_kept_for_the_next_time(models, onnx, publisher):
    publisher.give(onnx)
    message = given_up(models, publisher, 100_000)
    assert f"was interrupted after 100000 of {len(publisher.body)} bytes; the part received is kept" in message
    [partial] = kept(models)
    assert partial.read_bytes() == publisher.body[:100_000]
    said: list[str] = []
    progress: list[tuple[int, int | None]] = []
    fetcher = Fetcher(models, mirror_source(publisher.url), say=said.append)
    assert fetcher.resumable_bytes([WEIGHTS]) == 100_000
    fetcher.fetch(WEIGHTS, lambda *each: progress.append(each))
    assert publisher.ranges_asked == ["bytes=100000-"]
    assert said == [EARLIER]
    assert progress[0] == (100_000, len(publisher.body))
    assert left_in(models) == DONE


def test_a_key_in_the_address_is_neither_kept_nor_part_of_it(models, onnx, publisher):
    publisher.give(onnx)
    addresses = [f"{publisher.url}some.zip?signature={key}" for key in ("secret-1", "secret-2")]
    publisher.break_after = [1000] + [0] * (TRIES - 1)
    fetchers = [Fetcher(models, WebSource((url,), is_file=True), pause=lambda _: None) for url in addresses]
    with pytest.raises(ServiceUnavailable) as caught:
        fetchers[0].fetch(WEIGHTS)
    assert "secret" not in caught.value.message
    assert not any(b"secret" in path.read_bytes() or "secret" in path.name for path in models.iterdir())
    fetchers[1].fetch(WEIGHTS)
    assert publisher.asked[-1] == ("/projects/some.zip?signature=secret-2", "bytes=1000-")


def test_a_file_that_changed_in_between_starts_anew(models, onnx, publisher, tmp_path):
    publisher.give(onnx)
    given_up(models, publisher, 100_000)
    other = make_model(tmp_path / "other.onnx", dets=ONE_PERSON + 1)
    publisher.give(other)
    assert fetch("rtmo-t", models, publisher.url).path.read_bytes() == other.read_bytes()
    assert publisher.ranges_asked == ["bytes=100000-"], "If-Range made it the whole file at once"


@pytest.mark.parametrize(("etag", "people"), [(None, 1), ('"same"', 9), ("", 1)])
def test_a_server_that_gives_the_rest_of_another_file_is_not_believed(models, onnx, publisher, tmp_path, etag, people):
    """It ignores If-Range; then its own ETag tells, the size, or the date."""
    publisher.give(onnx)
    publisher.obstinate, publisher.etag, publisher.last_modified = True, etag, http_date(5000)
    given_up(models, publisher, 100_000)
    other = make_model(tmp_path / "other.onnx", dets=np.repeat(ONE_PERSON, people, axis=0) + 1)
    publisher.give(other)
    if etag == "":
        publisher.last_modified = http_date(4000)
    said: list[str] = []
    fetched = Fetcher(models, mirror_source(publisher.url), say=said.append).fetch(WEIGHTS)
    assert fetched.path.read_bytes() == other.read_bytes()
    assert publisher.ranges_asked == ["bytes=100000-", None]
    assert said == [EARLIER], "no byte of the other file was taken"
    assert left_in(models) == DONE


def test_a_server_that_gives_another_range_is_not_believed(models, onnx, publisher):
    publisher.give(onnx)
    given_up(models, publisher, 100_000)
    publisher.skips_bytes = 10
    said: list[str] = []
    fetched = Fetcher(models, mirror_source(publisher.url), say=said.append).fetch(WEIGHTS)
    assert fetched.path.read_bytes() == onnx.read_bytes()
    assert (publisher.ranges_asked, said) == (["bytes=100000-", None], [EARLIER])


def test_the_rest_of_another_file_of_the_same_size_and_name_does_not_pass(models, onnx, publisher):
    """All that the server says is the same: only what comes out tells."""
    publisher.give(onnx)
    publisher.etag = '"same"'
    given_up(models, publisher, 100_000)
    [partial] = kept(models)
    partial.write_bytes(bytes(len(partial.read_bytes())))  # as a power cut may leave it
    said: list[str] = []
    fetched = Fetcher(models, mirror_source(publisher.url), say=said.append).fetch(WEIGHTS)
    assert fetched.path.read_bytes() == onnx.read_bytes()
    assert publisher.ranges_asked == ["bytes=100000-", None]
    assert said[1] == "the earlier part of rtmo-t cannot be used; fetching it from the start"


def test_a_server_without_ranges_starts_anew(models, onnx, publisher):
    publisher.give(onnx)
    publisher.ranges = False
    given_up(models, publisher, 100_000, then=100_000)
    publisher.break_after = [90_000, 95_000]
    fetch("rtmo-t", models, publisher.url)
    assert publisher.ranges_asked == ["bytes=100000-", "bytes=90000-", "bytes=95000-"]
    assert left_in(models) == DONE


@pytest.mark.parametrize(
    ("etag", "modified", "goes_on"),
    [
        ("", http_date(5000), True),
        ('W/"weak"', http_date(5000), True),
        ("", "now", False),
        ("", "yesterday", False),
        ('W/"weak"', "", False),
        ("", "", False),
    ],
    # Not by their values: processes that collect at another second would find other tests.
    ids=["date", "weak and date", "now", "yesterday", "weak", "nothing"],
)
def test_only_what_can_be_told_from_others_is_kept(models, onnx, publisher, etag, modified, goes_on):
    """RFC 9110: a weak ETag, or a date of this very second, does not tell two files apart."""
    publisher.give(onnx)
    publisher.etag, publisher.last_modified = etag, modified
    message = given_up(models, publisher, 100_000, then=0 if goes_on else 100_000)
    assert ("is kept" in message) is goes_on
    fetch("rtmo-t", models, publisher.url)
    assert publisher.ranges_asked == ["bytes=100000-" if goes_on else None]


def test_a_whole_download_that_was_not_unpacked_needs_no_network(models, onnx, publisher):
    publisher.give(onnx)
    given_up(models, publisher, 100_000)
    [partial] = kept(models)
    partial.write_bytes(publisher.body)
    fetch("rtmo-t", models, publisher.url)
    assert publisher.asked == []
    assert left_in(models) == DONE


@pytest.mark.parametrize(
    ("content", "card"),
    [
        (bytes(10**6), "as it was"),  # longer than the file is
        (b"", "as it was"),
        (None, "as it was"),
        (b"PK", None),
        (b"PK", ""),
        (b"PK", "[]"),
        (b"PK", json.dumps({"total_bytes": "1", "validator": '"x"'})),
        (b"PK", json.dumps({"total_bytes": None, "validator": '"x"\r\nHost: a'})),
        (b"PK", json.dumps({"total_bytes": None, "validator": None})),
    ],
)
def test_a_partial_file_that_makes_no_sense_is_thrown_away(models, onnx, publisher, content, card):
    publisher.give(onnx)
    given_up(models, publisher, 100_000)
    [partial] = kept(models)
    for path, new in ((partial, content), (Path(f"{partial}.json"), card)):
        if new is None:
            path.unlink()
        elif new != "as it was":
            path.write_bytes(new if isinstance(new, bytes) else new.encode())
    fetch("rtmo-t", models, publisher.url)
    assert publisher.ranges_asked == [None]
    assert left_in(models) == DONE


def test_one_partial_file_a_name_is_kept(models, onnx, publisher):
    publisher.give(onnx)
    given_up(models, publisher, 100_000)
    [first] = kept(models)
    publisher.url += "elsewhere/"
    given_up(models, publisher, 1000)
    [second] = kept(models)
    assert first != second
    assert len(left_in(models)) == 3, "the bytes, their card, the lock"
    other = find_entry("rtmo-s").pose
    publisher.body = make_model(models / "s.onnx", side_px=640).read_bytes()
    Fetcher(models, mirror_source(publisher.url)).fetch(other)
    assert kept(models) == [second], "that of another name stays"


def test_other_weights_after_a_break_are_refused_and_not_kept(models, onnx, publisher, tmp_path):
    publisher.give(onnx)
    fetch("rtmo-t", models, publisher.url).path.unlink()
    publisher.give(make_model(tmp_path / "other.onnx", dets=ONE_PERSON + 1))
    given_up(models, publisher, 100_000)
    with pytest.raises(InvalidWeights, match="differs from the file that was first fetched"):
        fetch("rtmo-t", models, publisher.url)
    assert publisher.ranges_asked == ["bytes=100000-", None], "it may have been the kept piece's fault"
    assert left_in(models) == DONE - {"rtmo-t.onnx"}


def test_a_server_that_claims_more_than_it_has_is_given_up(models, onnx, publisher):
    publisher.give(onnx)
    publisher.claimed_bytes = 1000
    with pytest.raises(ServiceUnavailable, match=r"was interrupted after \d+ of \d+ bytes"):
        fetch("rtmo-t", models, publisher.url)
    assert not (models / "rtmo-t.onnx").exists()


def test_a_server_that_falls_silent_in_the_middle_is_asked_for_the_rest(models, onnx, publisher, monkeypatch):
    monkeypatch.setattr(http_download, "SILENCE_S", 0.1)
    publisher.give(onnx)
    publisher.hold_after = 100_000

    def pause(_seconds: float) -> None:
        publisher.hold_after = None

    Fetcher(models, mirror_source(publisher.url), pause=pause).fetch(WEIGHTS)
    assert publisher.ranges_asked == [None, "bytes=100000-"]
    assert left_in(models) == DONE


def test_a_server_that_does_not_say_how_much_there_is(models, onnx, publisher):
    publisher.give(onnx)
    publisher.claimed_bytes = None
    publisher.break_after = [100_000]
    with pytest.raises(InvalidWeights, match="a damaged zip file"):  # nothing else tells that this is not all
        fetch("rtmo-t", models, publisher.url)
    assert left_in(models) == {".lock"}
    progress: list[tuple[int, int | None]] = []
    Fetcher(models, mirror_source(publisher.url)).fetch(WEIGHTS, lambda *each: progress.append(each))
    assert progress[-1] == (len(publisher.body), None)
    assert left_in(models) == DONE
