"""The examples of docs/watching.md do what the page says, on the command line."""

from __future__ import annotations

import json
import re
import shlex
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.cli.console import Console
from pipeline.cli.doctor import DoctorFailed, _watches
from pipeline.services.system import System
from pipeline.services.teams import add_team
from tests.support.commands import printed, said
from tests.support.harness import cut, sql, wait_until
from tests.support.paths import DEMO_CLIP, ROOT
from tests.support.watched_bucket import PATTERN, WatchedPrefix

pytestmark = pytest.mark.usefixtures("configured")

PAGE = (ROOT / "docs" / "watching.md").read_text()
EXAMPLES = re.findall(r"^\$ (poseline .*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.M)


@pytest.fixture
def bucket(system: System, tmp_path: Path) -> WatchedPrefix:
    """The bucket of the page."""
    made = WatchedPrefix(system, "league")
    made.prefix = "videos/"
    made.put("u18/2026/final_03.mp4", cut(DEMO_CLIP, tmp_path / "clip.mp4", 5))
    made.put("u16/2026/semi.mp4", b"another")
    made.put("loose.mp4", b"loose")
    made.put("u18/2026/notes.txt", b"text")
    return made


def without_what_differs(text: str) -> list[str]:
    """The words of an output, without ids, times and durations."""
    return re.sub(r"\b[0-9a-f]{8}\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+\.\d s", "…", text).split()


def test_every_example_prints_what_the_page_says(
    system: System, bucket: WatchedPrefix, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(EXAMPLES) == 5
    for command, shown in EXAMPLES:
        if command == "poseline watch status":
            wait_until(
                lambda: bucket.tick() and not sql(system, "SELECT 1 FROM watch_hint") and bucket.list_all()["taken"],
                20,
                "the objects to settle",
            )
        assert without_what_differs(said(capsys, *shlex.split(command)[1:])) == without_what_differs(shown), command
    assert sql(system, "SELECT name, tags FROM video") == [("final_03.mp4", {"season": "2026"})]
    json.loads(PAGE.partition("```json\n")[2].partition("```")[0])


def test_every_command_as_json(system: System, bucket: WatchedPrefix, capsys: pytest.CaptureFixture[str]) -> None:
    add_team(system, "u18")
    added = printed(capsys, "watch", "add", bucket.location, "--pattern", PATTERN, "--settle", "0", "--every", "1h")
    assert (added["location"], added["pattern"], added["settle_s"]) == (bucket.location, PATTERN, 0)
    assert printed(capsys, "watch") == printed(capsys, "watch", "list") == [added]
    assert printed(capsys, "watch", "list", "--team", "u18") == []
    [before] = printed(capsys, "watch", "status")
    assert (before["listed"], before["error"]) == (None, None)
    bucket.list_all()
    [status] = printed(capsys, "watch", "status", added["watch_id"][:8])
    assert (status["listed"]["seen"], status["listed"]["new"], status["listing"]) == (4, 1, None)
    url = f"{bucket.location}u18/2026/final_04.mp4"
    assert printed(capsys, "watch", "hint", url) == [{"url": url, "watched": True}]
    assert "no watch covers" in said(capsys, "watch", "hint", "s3://elsewhere/x.mp4", code=2)
    bucket.delete("u18/2026/final_03.mp4")
    assert bucket.list_all()["gone"] == 1
    assert printed(capsys, "show", "final_03")["source_gone_at"] is not None
    assert "is gone or overwritten" in said(capsys, "show", "final_03")
    assert "gone      the objects of 1 video; their results stay" in said(capsys, "watch", "status")
    sql(system, "UPDATE watch SET error = 'the object store refuses access', error_at = now()")
    assert "the object store refuses access (it is tried again)" in said(capsys, "watch", "status")
    with closing(Console()) as console, pytest.raises(DoctorFailed, match="is not listed: the object store refuses"):
        _watches(console)
    assert printed(capsys, "watch", "remove", bucket.location)["watch_id"] == added["watch_id"]
    assert printed(capsys, "watch", "list") == []


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("s3://league/videos", "--pattern", PATTERN), "is not of the form s3://bucket/prefix/"),
        (("league/videos/", "--pattern", PATTERN), "is not of the form s3://bucket/prefix/"),
        (("s3://poseline/teams/", "--pattern", PATTERN), "is Poseline's own"),
        (("s3://league/", "--pattern", "videos"), "is no pattern"),
        (("s3://league/", "--pattern", PATTERN, "--team", "default"), "names the team"),
        (("s3://league/", "--pattern", "{name}", "--team", "nobody"), "there is no team 'nobody'"),
        (("s3://league/", "--pattern", "{name}", "--model", "nothing"), "nothing"),
        (("s3://no-such-bucket/", "--pattern", "{name}"), "there is no bucket no-such-bucket"),
    ],
)
def test_what_cannot_be_watched_is_said_in_one_line(
    bucket: WatchedPrefix, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], line: str
) -> None:
    code = 1 if "no-such-bucket" in args[0] else 2
    shown = said(capsys, "watch", "add", *args, code=code)
    assert line in shown
    assert shown.count("\n") == 1
