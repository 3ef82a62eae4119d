"""The commands for your own servers."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from pipeline.cli.main import main
from pipeline.cli.processes import bound

SETTINGS = {
    "POSELINE_DATABASE_URL": "postgresql://poseline:secret@127.0.0.1:5432/poseline",
    "POSELINE_BROKER_URL": "redis://127.0.0.1:6379/0",
    "POSELINE_S3_ENDPOINT": "http://127.0.0.1:8333",
    "POSELINE_S3_ACCESS_KEY": "key",
    "POSELINE_S3_SECRET_KEY": "secret",
}


@pytest.mark.parametrize("as_json", [False, True])
def test_the_database_s_url_is_printed_as_asked(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    assert main(["--home", str(tmp_path), "db", "url", *["--json"] * as_json]) == 0
    printed = capsys.readouterr().out
    assert (json.loads(printed)["url"] if as_json else printed.strip()) == SETTINGS["POSELINE_DATABASE_URL"]


def test_answers_are_sent_without_delay() -> None:
    """asyncio looks at the protocol of what it accepts, and leaves Nagle's algorithm on where none is named."""
    with bound("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
