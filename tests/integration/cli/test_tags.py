"""Tags on the command line: set, shown, removed, and runs selected by them."""

from __future__ import annotations

import pytest

from pipeline.cli.main import main

pytestmark = pytest.mark.usefixtures("configured")


def said(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert main(list(args)) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err
