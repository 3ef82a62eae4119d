"""Which POSELINE_ variables there are: all that the repository names, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.settings import check_variables, known_variables, load_settings
from tests.support.paths import ROOT

PLACES = ("pipeline", "workers", "migrations", "docker", "docs", ".ci")
FILES = ("README.md", "Makefile", "docker-compose.yml", ".env.example")
#: In prose and in prefixes, not names of their own.
PARTS = {"POSELINE_S3_", "POSELINE_", "POSELINE_VIDEO__"}


def named() -> dict[str, str]:
    """Each variable that a file of the repository names, and that file."""
    paths = [p for place in PLACES for p in (ROOT / place).rglob("*") if p.is_file()] + [ROOT / name for name in FILES]
    found = {}
    for path in paths:
        if "node_modules" in path.parts or path.suffix in {".onnx", ".npz", ".mp4", ".png", ".jpg", ".pyc", ".gz"}:
            continue
        for name in re.findall(r"\bPOSELINE_[A-Z0-9_]+", path.read_text(errors="replace")):
            found[name] = path.relative_to(ROOT).as_posix()
    return found


def test_every_variable_that_the_repository_names_is_known() -> None:
    assert {name: where for name, where in named().items() if name not in known_variables() | PARTS} == {}


def test_every_setting_can_be_given() -> None:
    check_variables(dict.fromkeys(known_variables(), "1"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("POSELINE_CHUNK_FRAME", "POSELINE_CHUNK_FRAMES"),
        ("POSELINE_DATABASE_UR", "POSELINE_DATABASE_URL"),
        ("POSELINE_VIDEO__MAX_BYTE", "POSELINE_VIDEO__MAX_BYTES"),
        ("POSELINE_VIDEO_MAX_BYTES", "POSELINE_VIDEO__MAX_BYTES"),
        ("poseline_lease", "POSELINE_LEASE_S"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"there is no setting {name}; did you mean {near}\?"):
        check_variables({name: "1"})


def test_what_resembles_no_setting_is_refused_without_a_guess() -> None:
    with pytest.raises(UsageError, match="there is no setting POSELINE_FOO; unset it"):
        check_variables({"POSELINE_FOO": "1"})


def test_what_nobody_misspelt_is_ignored() -> None:
    check_variables(
        {
            "PATH": "/bin",
            "POSELINE_FOO": "",
            "POSELINE_POSTGRES_SERVICE_HOST": "10.0.0.1",
            "POSELINE_POSTGRES_SERVICE_PORT_SQL": "5432",
            "POSELINE_REDIS_PORT": "tcp://10.0.0.1:6379",
            "POSELINE_REDIS_PORT_6379_TCP_ADDR": "10.0.0.1",
            "POSELINE_SERVICE_HOST": "10.0.0.1",
        }
    )


def test_a_settings_file_of_another_version_is_read(tmp_path: Path) -> None:
    """The user did not write it: `poseline up` did."""
    (tmp_path / "poseline.env").write_text(
        "POSELINE_DATABASE_URL=postgresql://a:b@127.0.0.1/c\nPOSELINE_BROKER_URL=redis://127.0.0.1\n"
        "POSELINE_S3_ENDPOINT=http://127.0.0.1:1\nPOSELINE_S3_ACCESS_KEY=a\nPOSELINE_S3_SECRET_KEY=b\n"
        "POSELINE_OF_ANOTHER_VERSION=1\n"
    )
    assert load_settings(tmp_path).s3_access_key.get_secret_value() == "a"
