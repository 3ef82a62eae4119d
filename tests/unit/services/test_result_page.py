"""The page of results: one row a video, whatever it is called, in a file that opens without a server."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.services.result_page import Failure, length, picture_path, write_result_page


class Page(HTMLParser):
    """Collects links, pictures and text, and requires that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "img"}:
            self._open.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def make_result(folder: Path, name: str, *, state: str = "done", missing: int = 0, video: str | None = None) -> None:
    folder.mkdir(exist_ok=True)
    found = {
        "run_id": name,
        "state": state,
        "video": {"name": video or f"{name}.mp4"},
        "model": {"name": "rtmo-m"},
        "results": {
            "frames": 90,
            "video_s": 3.0,
            "most_people": 5,
            "frames_with_people": 80,
            "frames_missing": missing,
        },
    }
    (folder / f"{name}.metadata.json").write_text(json.dumps(found))
    (folder / f"{name}.jsonl").write_text("{}")


def read(page: Path) -> Page:
    return Page(page.read_text())


def test_every_video_has_a_row_with_its_files_and_numbers(tmp_path: Path) -> None:
    make_result(tmp_path, "a")
    make_result(tmp_path, "b", state="cancelled", missing=30)
    (tmp_path / "a.preview.mp4").write_bytes(b"")
    picture_path(tmp_path, "a").parent.mkdir()
    picture_path(tmp_path, "a").write_bytes(b"jpeg")
    page = read(write_result_page(tmp_path, [Failure("c.mp4", "This file is empty.")]))
    assert page.tags.count("li") == 3
    assert "0:03, 90 frames, up to 5 people at once, people in 80 frames" in page.text
    assert "The analysis was cancelled. 30 of 90 frames have no poses." in page.text
    assert "Not analysed: This file is empty." in page.text
    assert "2 videos analysed, 1 not" in page.text
    assert all((tmp_path / unquote(link)).is_file() for link in page.links)
    assert {"a.jsonl", "a.preview.mp4", "index_files/a.jpg", "b.jsonl"} <= set(page.links)


def test_names_are_text_and_never_markup_or_addresses(tmp_path: Path) -> None:
    odd = '<script>alert(1)<|script> 50% #2 "x" & ümlaut'
    make_result(tmp_path, odd.replace("|", "-"), video=odd)
    make_result(tmp_path, "javascript:alert(1)")
    page = read(write_result_page(tmp_path, [Failure("<b>.mp4", "<i>")]))
    assert odd in page.text
    assert not {"script", "b", "i"} & set(page.tags)
    for link in page.links:
        assert urlsplit(link).scheme == ""
        assert (tmp_path / unquote(link)).is_file()


def test_results_of_earlier_calls_stay_on_the_page(tmp_path: Path) -> None:
    make_result(tmp_path, "a")
    write_result_page(tmp_path)
    make_result(tmp_path, "b")
    assert read(write_result_page(tmp_path)).tags.count("li") == 2


def test_failures_stay_on_the_page_until_the_video_has_results(tmp_path: Path) -> None:
    write_result_page(tmp_path, [Failure("c.mp4", "empty"), Failure("d.mp4", "broken")])
    make_result(tmp_path, "a")
    assert "Not analysed: empty" in read(write_result_page(tmp_path, [Failure("d.mp4", "still broken")])).text
    make_result(tmp_path, "c")
    page = read(write_result_page(tmp_path, [], ["c.mp4"]))
    assert "empty" not in page.text
    assert "Not analysed: still broken" in page.text
    assert "2 videos analysed, 1 not" in page.text


def test_a_video_is_shown_by_the_name_that_was_given(tmp_path: Path) -> None:
    make_result(tmp_path, "match 3", video="same.mp4")
    assert "match 3 (the same video as same.mp4)" in read(write_result_page(tmp_path)).text


def test_a_page_by_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>my club</h1>")
    make_result(tmp_path, "a")
    assert write_result_page(tmp_path).name == "poseline-index.html"
    assert (tmp_path / "index.html").read_text() == "<h1>my club</h1>"


def test_metadata_that_is_damaged_or_not_finished_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.metadata.json").write_text("{")
    (tmp_path / "y.metadata.json").write_text('{"run_id": "y"}')
    assert read(write_result_page(tmp_path)).tags.count("li") == 0


def test_lengths_read_as_on_a_player() -> None:
    assert [length(s) for s in (7.6, 2710, 5400)] == ["0:08", "45:10", "1:30:00"]
