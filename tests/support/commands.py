"""Commands as a person or a script runs them, in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.cli.main import main


def printed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> Any:
    """What a command prints with --json: one document."""
    capsys.readouterr()  # what the services logged in this process
    assert main([*args, "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    """All that a command prints for people."""
    capsys.readouterr()
    assert main(list(args)) == code, capsys.readouterr()
    captured = capsys.readouterr()
    return captured.out + captured.err
