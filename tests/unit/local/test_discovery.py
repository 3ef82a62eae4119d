"""Which home a command speaks of: named, found at or above the current directory, or the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.console import Console, this_command
from pipeline.cli.main import main
from pipeline.cli.place import naming_home, shown
from pipeline.errors import StackError, UsageError
from pipeline.local.discovery import find_home, finds_itself
from pipeline.local.home import Home


def made(path: Path) -> Path:
    """A home as far as discovery is concerned."""
    path.mkdir(parents=True)
    (path / "stack.json").write_text("{}")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to stand in, below one that may hold a home; the user's own is `tmp_path/data/poseline`."""
    monkeypatch.delenv("POSELINE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "checkout" / "deep" / "below"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("variable", [True, False], ids=["as it is", "without POSELINE_HOME"])
def test_no_test_can_touch_the_home_of_whoever_runs_it(
    variable: bool, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not variable:
        monkeypatch.delenv("POSELINE_HOME")
        monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "pipeline.cli.main", "status", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    base = tmp_path_factory.getbasetemp().resolve()
    assert Path(json.loads(found.stdout)["home"]).is_relative_to(base)
    assert find_home().path.is_relative_to(base)


def test_the_order_is_the_option_the_variable_the_nearest_folder_the_users_own(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_home()
    assert (found.path, found.origin) == (tmp_path / "data" / "poseline", "user")
    assert not found.path.exists(), "looking makes nothing"
    far = made(tmp_path / "checkout" / ".poseline")
    assert (find_home().path, find_home().origin) == (far, "folder")
    near = made(here.parent / ".poseline")
    assert find_home().path == near
    monkeypatch.chdir(near)
    assert find_home().path == near, "from inside"
    monkeypatch.chdir(tmp_path)
    assert find_home().origin == "user", "from above"
    monkeypatch.setenv("POSELINE_HOME", "named")
    assert (find_home().path, find_home().origin) == (tmp_path / "named", "environment")
    assert (find_home(Path("opted")).path, find_home(Path("opted")).origin) == (tmp_path / "opted", "option")
    monkeypatch.setenv("POSELINE_HOME", "")
    assert find_home().origin == "user"


def test_a_folder_without_a_stack_is_no_home(here: Path) -> None:
    (here / ".poseline").mkdir()
    (here.parent / ".poseline").write_text("a file")
    assert find_home().origin == "user"
    assert find_home().passed_over == ()


def test_the_folder_of_another_user_is_passed_over_with_a_line(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = made(here / ".poseline")
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    assert (find_home().origin, find_home().passed_over) == ("user", (theirs,))
    assert main(["status"]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"passed over {theirs}: it belongs to another user"]
    assert said.out.startswith(f"home: {shown(tmp_path / 'data' / 'poseline')} (local stack)\n")
    assert main(["status", "--json"]) == 1
    said = capsys.readouterr()
    assert (said.err, json.loads(said.out)["home"]) == ("", str(tmp_path / "data" / "poseline"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("part", ["folder", "stack", "link"])
def test_no_part_of_a_found_home_may_be_another_users(part: str, here: Path, tmp_path: Path) -> None:
    mine = made(tmp_path / "mine") if part == "link" else made(here / ".poseline")
    if part == "link":
        (here / ".poseline").symlink_to(mine)
        assert find_home().path == mine, "a link of one's own is followed"
    os.chown(here / ".poseline" / ("stack.json" if part == "stack" else ""), 65534, -1, follow_symlinks=part != "link")
    if part == "link":
        os.lchown(here / ".poseline", 65534, -1)
    assert (find_home().origin, find_home().passed_over) == ("user", (here / ".poseline",))


def test_a_directory_that_is_gone_finds_the_users_own(here: Path) -> None:
    here.rmdir()
    assert find_home().origin == "user"


def test_without_a_home_directory_the_fix_is_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: (_ for _ in ()).throw(KeyError("no such user")))
    with pytest.raises(UsageError, match="no home directory"):
        find_home()
    assert main(["runs"]) == 2
    said = capsys.readouterr()
    assert said.err == (
        "poseline: this user has no home directory for Poseline's data; name a place with --home or POSELINE_HOME\n"
    )
    assert main(["status", "--home", "named"]) == 1
    assert main(["--help"]) == 0


def test_sudo_makes_no_home_among_the_files_of_its_caller(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("pipeline.local.discovery._owner_of", lambda _: 1000)
    assert find_home().origin == "user", "without sudo it is nobody's mistake"
    monkeypatch.setenv("SUDO_UID", "1000")
    with pytest.raises(UsageError, match="belongs to the user who called sudo"):
        find_home()


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"cannot make .*: Not a directory; choose another place with --home"):
        Home.at(tmp_path / "file" / "poseline").make()


def test_a_home_that_is_closed_to_this_user_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.at(made(tmp_path / "home"))

    def closed(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", closed)  # root can read everything
    with pytest.raises(StackError, match="is closed to this user"):
        home.read_stack()


def test_a_printed_command_names_the_home_only_where_it_must(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, checkout = tmp_path / "data" / "poseline", tmp_path / "checkout" / ".poseline"
    assert finds_itself(own)
    assert " --home " not in this_command(own)
    assert this_command(checkout).endswith(f" --home {checkout}")
    assert naming_home("run `poseline up`, or set X", checkout) == f"run `poseline --home {checkout} up`, or set X"
    assert naming_home("run `poseline up`", own) == "run `poseline up`"
    made(checkout)
    assert " --home " not in this_command(checkout)
    assert this_command(own).endswith(f" --home {own}")
    assert naming_home("run `poseline up`", Path("/a b")) == "run `poseline --home '/a b' up`"
    monkeypatch.setenv("POSELINE_DATABASE_URL", "postgresql://a@b/c")
    assert naming_home("run `poseline up`", own) == "run `poseline up`", "no home is spoken of"


def test_results_name_the_home_that_was_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Console(Path("other")).print("`poseline runs` lists them")
    assert capsys.readouterr().out == f"`poseline --home {here / 'other'} runs` lists them\n"
    Console().print("`poseline runs` lists them")
    assert capsys.readouterr().out == "`poseline runs` lists them\n"


def test_errors_name_the_home_that_was_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--home", "other"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"poseline: there is no local stack in {here}/other, and POSELINE_DATABASE_URL is not set;")
    assert f"run `poseline --home {here}/other up`" in said
    assert main(["runs", "--home", ""]) == 2
    assert "names no directory" in capsys.readouterr().err


@pytest.mark.parametrize(("path", "as_shown"), [("~/x/y", "~/x/y"), ("/x y", "/x y"), ("~", None)])
def test_a_path_is_shown_as_people_write_it(
    path: str, as_shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shown(Path(path).expanduser()) == (as_shown or str(tmp_path))
    monkeypatch.setenv("HOME", "/")
    assert shown(Path("/var/lib/poseline")) == "/var/lib/poseline"
