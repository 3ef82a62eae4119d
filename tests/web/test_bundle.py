"""What the built pages weigh, what they are made of, and that they were built from these sources."""

from __future__ import annotations

import gzip
import json
import math
import re
from pathlib import Path

import pytest

from pipeline.errors import PagesMissing
from pipeline.web import built_pages
from tests.support.paths import ROOT

FIRST_PAGE_BYTES, WITH_PLAYER_BYTES, CAMERA_BYTES = 150_000, 250_000, 40_000
#: As they are sent: the models hardly get smaller.
PREVIEW_BYTES = 8_000_000
ENTRY = "index.html"


def manifest() -> dict[str, dict[str, object]]:
    return json.loads((built_pages() / "manifest.json").read_text())


def scripts(entries: dict[str, dict[str, object]], start: str, follow: tuple[str, ...]) -> set[str]:
    """The scripts that one entry brings, over these kinds of imports."""
    found, open_ = set(), [start]
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += [more for kind in follow for more in entries[name].get(kind, [])]
    return {str(entries[name]["file"]) for name in found}


def gzipped(files: set[str]) -> int:
    for file in files:
        compressed = (built_pages() / f"{file}.gz").read_bytes()
        assert gzip.decompress(compressed) == (built_pages() / file).read_bytes()
    return sum((built_pages() / f"{file}.gz").stat().st_size for file in files)


def test_a_checkout_that_has_not_built_them_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.web.__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(PagesMissing, match="run `make web`"):
        built_pages()


def test_the_scripts_are_small() -> None:
    entries = manifest()
    first = scripts(entries, ENTRY, ("imports",))
    assert gzipped(first) < FIRST_PAGE_BYTES
    assert gzipped(scripts(entries, ENTRY, ("imports", "dynamicImports"))) < WITH_PLAYER_BYTES
    assert all(re.fullmatch(r"assets/[\w.-]+-[\w-]{8}\.js", file) for file in first)


def test_the_camera_is_asked_for_by_its_page_alone() -> None:
    entries = manifest()
    first = scripts(entries, ENTRY, ("imports",))
    page = scripts(entries, "src/pages/camera.tsx", ("imports",))
    assert gzipped(page - first) < CAMERA_BYTES
    preview = [file for file in (built_pages() / "assets").iterdir() if file.name.startswith("pose")]
    sent = {file.name: min(file.stat().st_size, _compressed_bytes(file)) for file in preview if file.suffix != ".gz"}
    assert len(sent) == 7
    assert sum(sent.values()) < PREVIEW_BYTES
    # The page counts what comes against this, for a compressed answer does not say how long it becomes.
    told = (ROOT / "pipeline/web/src/camera/preview_model.ts").read_text()
    match = re.search(r"const BYTES = ([\d_]+);", told)
    assert match is not None
    held = [file for file in preview if file.suffix not in {".js", ".gz"}]
    assert int(match[1]) == sum(file.stat().st_size for file in held)
    assert not {f"assets/{file.name}" for file in preview} & (first | page)


def _compressed_bytes(file: Path) -> float:
    compressed = file.with_name(f"{file.name}.gz")
    return compressed.stat().st_size if compressed.exists() else math.inf


def test_every_file_is_named_by_its_content_and_known_to_the_manifest() -> None:
    pages = built_pages()
    entries = manifest()
    known = {str(entry["file"]) for entry in entries.values()}
    known |= {str(file) for entry in entries.values() for kind in ("css", "assets") for file in entry.get(kind, [])}
    built = {path.relative_to(pages).as_posix() for path in (pages / "assets").iterdir()}
    assert {name for name in built if not name.endswith(".gz")} == known
    assert {name for name in built if name.endswith(".gz")} == {
        f"{name}.gz" for name in known if name.endswith((".js", ".wasm", ".css", ".svg"))
    }
    assert {path.name for path in pages.iterdir()} == {"assets", "index.html", "licenses.md", "manifest.json"}


def test_the_first_page_holds_no_inline_script_style_or_data() -> None:
    """The pages' Content-Security-Policy would block them."""
    html = (built_pages() / "index.html").read_text()
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|data:", html) == []
    assert [url for url in re.findall(r'(?:src|href)="([^"]+)"', html) if not url.startswith("/assets/")] == []


def test_notice_names_what_is_built_into_the_pages() -> None:
    licences = (built_pages() / "licenses.md").read_text()
    shipped = set(re.findall(r"^## (\S+) - \S+ \((\S+)\)$", licences, re.M))
    assert ("preact", "MIT") in shipped
    notice = (ROOT / "NOTICE").read_text().partition("pipeline/web/dist/assets\n")[2]
    named = {
        (name, licence)
        for names, licence in re.findall(r"^  ([^:\n]+): .*, ([\w.-]+)\.$", notice, re.M)
        for name in names.split(", ")
    }
    assert named == shipped


def test_the_pages_are_those_of_the_sources_here() -> None:
    newest = max(path.stat().st_mtime for path in Path(ROOT / "pipeline" / "web" / "src").rglob("*"))
    assert (built_pages() / "manifest.json").stat().st_mtime >= newest, "run `make web`"
