"""Hatchling's hook: no wheel is built without its pages. The wheel does not hold this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PagesHook(BuildHookInterface[Any]):
    """Looks for the built pages before a wheel is made; an editable install serves those of its checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling names them
        """Refuse to build a wheel without pages.

        Raises:
            FileNotFoundError: they are not built.
        """
        if version != "editable" and not (Path(self.root) / "pipeline/web/dist/index.html").is_file():
            raise FileNotFoundError("the pages are not built; run `make web` first")
