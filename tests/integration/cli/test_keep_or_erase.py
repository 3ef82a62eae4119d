"""The examples of docs/keep-or-erase.md do what the page says, and every command as JSON and in error."""

from __future__ import annotations

import getpass
import re
import shlex
from io import BytesIO, StringIO

import pytest

from pipeline.cli.main import main
from pipeline.core.retention import Kind
from pipeline.errors import ServiceUnavailable
from pipeline.services.system import System
from tests.support.commands import printed, said
from tests.support.harness import sql
from tests.support.kept import age, done_run, keys, requested_run, stored_video
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("configured")

PAGE = (ROOT / "docs" / "keep-or-erase.md").read_text()
EXAMPLES = re.findall(r"^\$ (poseline .*)\n((?:(?!\$ |```).*\n)*)", PAGE, re.M)


@pytest.fixture
def club(system: System) -> System:
    """The team of the page: an old video, one with two runs, and one with a run under way."""
    old = stored_video(system, "semi.mp4", team="club", tags={"person": "ben"})
    final = stored_video(system, "final.mp4", team="club", tags={"person": "anna"})
    training = stored_video(system, "training.mp4", team="club", tags={"person": "anna"})
    age(system, "video", "original_at", old, 500)
    first = done_run(system, final)
    done_run(system, final, params="2")
    age(system, "run", "not_current_since", first, 100)
    requested_run(system, training)
    sql(system, "ANALYZE frame")
    return system


def without_what_differs(text: str) -> list[str]:
    """The words of an output, without ids, times and sizes."""
    differs = r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\d{4}-\d\d-\d\d( \d\d:\d\d)?|[\d.]+ ([KM]iB|bytes)"
    return re.sub(differs, "…", text).split()


def test_every_example_prints_what_the_page_says(club: System, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(EXAMPLES) == 11
    for command, shown in EXAMPLES:
        capsys.readouterr()
        assert main(shlex.split(command)[1:]) == 0
        assert without_what_differs(capsys.readouterr().out) == without_what_differs(shown), command
    assert sql(club, "SELECT 1 FROM team UNION ALL SELECT 1 FROM video UNION ALL SELECT 1 FROM frame") == []


def test_the_page_names_every_kind() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.M)
    assert named == [str(kind) for kind in Kind]


def test_every_command_as_json(club: System, capsys: pytest.CaptureFixture[str]) -> None:
    rules = printed(capsys, "retention", "set", "club", "originals", "1y")
    assert (rules["team"], rules["originals"], rules["runs"]) == ("club", "365d", "keep")
    assert printed(capsys, "retention", "show") == printed(capsys, "retention", "show", "club") == [rules]
    [would_go] = printed(capsys, "retention", "dry-run")
    assert printed(capsys, "retention", "dry-run", "club", "originals", "1y") == [would_go]
    assert printed(capsys, "retention", "dry-run", "club", "originals", "2y")[0]["number"] == 0
    assert (would_go["number"], would_go["bytes"], would_go["examples"]) == (1, 32, ["semi.mp4"])
    assert printed(capsys, "retention", "run") == [{"team": "club", "kind": "originals", "removed": 1}]
    assert sql(club, "UPDATE video SET original_removed_at = now() WHERE name = 'final.mp4'") == []
    assert printed(capsys, "show", "final.mp4")["original_removed_at"] is not None
    assert "by the team's retention" in said(capsys, "show", "final.mp4")
    assert printed(capsys, "retention", "set", "club", "originals", "keep")["originals"] == "keep"
    assert "kept for ever" in said(capsys, "retention", "dry-run")

    shown = printed(capsys, "erase", "training.mp4", "--dry-run")
    assert (shown["videos"], shown["runs"], shown["open_runs"]) == (1, 1, 1)
    assert "nothing was erased: give --yes" in said(capsys, "erase", "training.mp4", "--json", code=2)
    assert "nothing was erased: give --yes" in said(capsys, "erase", "training.mp4", code=2)
    [erased] = printed(capsys, "erase", "training.mp4", "--yes", "--by", "office")
    assert (erased["by"], erased["scope"], erased["rows"]["videos"]) == ("office", "videos", 1)
    erasure_id = erased["erasure_id"]
    assert printed(capsys, "erase", "--list") == [erased]
    [full] = printed(capsys, "erase", "--show", erasure_id[:8])
    assert len(full["sha256"]["videos"]) == 1
    assert full["sha256"]["videos"][0] in said(capsys, "erase", "--show", erasure_id)
    assert printed(capsys, "erase", "--check", erasure_id)[0]["good"] is True
    assert printed(capsys, "erase", "--resume", "--all") == []
    sql(club, "UPDATE erasure SET finished_at = NULL")
    assert printed(capsys, "erase", "--check", "--all", code=1)[0]["good"] is False
    assert printed(capsys, "erase", "--resume", erasure_id)[0]["finished_at"] is not None
    assert keys(club) == []


def test_a_person_types_what_goes(
    club: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cli.erase.interactive", lambda: True)
    for asked, wanted in (
        (("semi.mp4",), "semi.mp4"),
        (("final.mp4", "training.mp4"), "2 videos"),
        (("--team", "club"), "club"),
    ):
        monkeypatch.setattr("sys.stdin", StringIO("no\n"))
        shown = said(capsys, "erase", *asked, code=2)
        assert f"{wanted!r}: " in shown
        assert "nothing was erased: that was something else" in shown
        monkeypatch.setattr("sys.stdin", StringIO(f"{wanted}\n"))
        assert "erasure " in said(capsys, "erase", *asked)
    [(by,)] = sql(club, "SELECT DISTINCT by FROM erasure")
    assert by == getpass.getuser()
    assert sql(club, "SELECT 1 FROM video UNION ALL SELECT 1 FROM team") == []


REFUSED = {
    ("retention", "set", "club", "originals", "soon"): "is no period; write 365d, 12w, 2y, or keep",
    ("retention", "set", "club", "originals", "0d"): "is no period",
    ("retention", "set", "nobody", "originals", "1d"): "there is no team 'nobody'",
    ("retention", "dry-run", "club", "originals"): "say for how long, as in",
    ("retention", "dry-run", "club", "originals", "keep"): "say for how long, as in",
    ("retention", "dry-run", "nobody", "runs", "1d"): "there is no team 'nobody'",
    ("retention", "show", "nobody"): "there is no team 'nobody'",
    ("erase",): "name what to erase",
    ("erase", "--tag", "person=anna"): "name what to erase",
    ("erase", "--all"): "--all goes with --check or --resume",
    ("erase", "--check"): "name an erasure by its id, or give --all",
    ("erase", "--show", "0123"): "there is no erasure 0123",
    ("erase", "--list", "--team", "club"): "--list takes erasures",
    ("erase", "--team", "nobody", "--yes"): "there is no team 'nobody'",
}


def test_what_cannot_be_done_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for args, line in REFUSED.items():
        assert line in said(capsys, *args, code=2), args


def test_a_key_of_somebody_else_writes_nothing_to_the_terminal(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    source = system.store.put_stream(BytesIO(b"theirs"), 6, "matches/a\x1b[2J\nb.mp4")
    stored_video(system, "theirs.mp4", registered=source)
    for args in (["--dry-run"], ["--yes"]):
        shown = said(capsys, "erase", "theirs.mp4", *args)
        assert f"stays, for it is not Poseline's own: s3://{source.bucket}/matches/a?[2J?b.mp4\n" in shown


@pytest.mark.parametrize(("broken_off", "code"), [(KeyboardInterrupt(), 130), (ServiceUnavailable(), 1)])
def test_an_erasure_that_is_broken_off_says_that_it_goes_on(
    system: System,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    broken_off: BaseException,
    code: int,
) -> None:
    stored_video(system, "v.mp4")

    def break_off(*_: object, **__: object) -> bool:
        raise broken_off

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.cli.erase.go_on", break_off)
        shown = said(capsys, "erase", "v.mp4", "--yes", code=code)
    [(erasure_id,)] = sql(system, "SELECT id::text FROM erasure")
    assert f"beat goes on with it, for it was begun; or now: `poseline erase --resume {erasure_id}`" in shown
    assert "1 video" in said(capsys, "erase", "--resume", str(erasure_id))
    assert sql(system, "SELECT 1 FROM video") == []
