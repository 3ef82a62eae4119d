"""The pages: their sources in TypeScript, and `dist`, which `make web` builds of them and the wheel ships."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import PagesMissing


def built_pages() -> Path:
    """The directory to serve.

    `index.html` names the files in `assets/`, whose names hold a hash of their content; `manifest.json` says which
    source became which file. `licenses.md` holds the licences of what is built in.

    Raises:
        PagesMissing: this checkout has not built them.
    """
    pages = Path(__file__).parent / "dist"
    if not (pages / "index.html").is_file():
        raise PagesMissing
    return pages
