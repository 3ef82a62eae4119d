"""What `up`, `down` and `runs` print where there is no stack, or it cannot be started as asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.inference.engines.sessions import Device
from tests.support.ordinary_user import NOBODY, person

pytestmark = pytest.mark.timeout(90)

_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def said(home: Path, *args: str) -> tuple[int, list[str], list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "--home", str(home), *args],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU here")
def test_a_device_that_is_missing_is_refused_in_one_sentence(tmp_path: Path) -> None:
    device: Device = "cuda"
    code, out, err = said(tmp_path / "home", "up", "--device", device)
    assert code == 1
    assert out == []
    assert err[0] == f"checking {device}"
    [line] = err[1:]
    assert line.startswith("poseline: ")
    assert "cuda" in line.lower()
    assert "{" not in line


@pytest.mark.skipif(
    not _UNPRIVILEGED.exists() or int(_UNPRIVILEGED.read_text()) <= 80, reason="everybody may listen on port 80 here"
)
@pytest.mark.parametrize(
    "args", [("up", "--flower-port", "80"), ("flower", "--port", "80")], ids=lambda args: str(args[0])
)
def test_a_port_that_needs_root_is_not_called_taken(args: tuple[str, ...]) -> None:
    with person(NOBODY) as somebody:
        somebody.env.update(
            POSELINE_DATABASE_URL="postgresql://a:b@127.0.0.1/c",
            POSELINE_BROKER_URL="redis://127.0.0.1:1",
            POSELINE_S3_ENDPOINT="http://127.0.0.1:1",
            POSELINE_S3_ACCESS_KEY="a",
            POSELINE_S3_SECRET_KEY="b",
            POSELINE_FLOWER_PASSWORD="c",
        )
        done = somebody.run("-m", "pipeline.cli.main", "--home", "home", *args, timeout_s=60)
    assert done.returncode == 1, done.stderr
    assert f"port 80 needs root; choose one above 1023 with {args[1]}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["runs", "up", "down", "status"])
def test_every_command_says_the_same_of_a_damaged_stack_file(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stack.json").write_text("garbage")
    assert main(["--home", str(tmp_path), command]) == 1
    assert f"{tmp_path}/stack.json cannot be read (" in capsys.readouterr().err


def test_down_where_there_is_no_stack_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for home in (tmp_path / "never", tmp_path):
        assert main(["--home", str(home), "down"]) == 0
        assert capsys.readouterr().out == f"there is no local stack in {home}\n"
    assert not (tmp_path / "never").exists()
