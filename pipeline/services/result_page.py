"""A page of the results in a folder: plain HTML that a browser opens from the disk, without a server or scripts."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.core.files import write_atomically
from pipeline.services.result_names import METADATA, ResultNames

PAGE, PICTURES = "index.html", "index_files"
_MARK = '<meta name="generator" content="Poseline">'

_STYLE = """
:root { color-scheme: light dark; --line: #d8dce2; --quiet: #5b6472; --bad: #b3261e; --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a404a; --quiet: #a3acba; --bad: #ff8a80; --link: #8ab4f8; }
}
body { font: 16px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
p { margin: 0 0 1.5rem; color: var(--quiet); }
a { color: var(--link); }
li { display: grid; grid-template-columns: 200px 1fr; gap: 0 1.25rem; padding: 1rem 0; align-items: start;
     border-top: 1px solid var(--line); }
ul { list-style: none; margin: 0 0 2rem; padding: 0; }
img { max-width: 200px; max-height: 150px; border-radius: 6px; display: block; }
h2 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
.numbers, .model { color: var(--quiet); }
.tags span { border: 1px solid var(--line); border-radius: 6px; padding: 0 .4rem; margin-right: .3rem;
             font-size: .85rem; display: inline-block; overflow-wrap: anywhere; }
.bad { color: var(--bad); }
.files a { margin-right: 1rem; display: inline-block; padding: .2rem 0; }
.none { background: var(--line); border-radius: 6px; height: 112px; }
@media (max-width: 600px) {
  li { grid-template-columns: 112px 1fr; gap: 0 .9rem; }
  img { max-width: 112px; max-height: 112px; }
  .none { height: 63px; }
}
"""


@dataclass(frozen=True)
class Failure:
    """A video that has no results, and why."""

    video: str
    reason: str


def picture_path(folder: Path, run_id: object) -> Path:
    """Where the page looks for the picture of a run."""
    return folder / PICTURES / f"{run_id}.jpg"


def write_result_page(folder: Path, failures: Iterable[Failure] = (), analysed: Collection[str] = ()) -> Path:
    """Write the page of all results in `folder` and of what failed, in earlier calls, too.

    A page of that name by somebody else is left alone, and another name taken.

    Args:
        analysed: names of videos that have results now, so that earlier failures of these are forgotten.

    Raises:
        OSError: it cannot be written.
    """
    results = sorted(_read_results(folder), key=lambda result: result[0].name.lower())
    page = folder / PAGE
    if page.exists() and _MARK not in page.read_text(errors="replace"):
        page = folder / "poseline-index.html"
    known = {name: reason for name, reason in _read_failures(folder).items() if name not in analysed}
    known |= {failure.video: failure.reason for failure in failures}
    if known or _failures_path(folder).exists():
        _failures_path(folder).parent.mkdir(exist_ok=True)
        write_atomically(_failures_path(folder), json.dumps(known, indent=1))
    write_atomically(page, _render(folder, results, [Failure(name, reason) for name, reason in known.items()]))
    return page


def _failures_path(folder: Path) -> Path:
    return folder / PICTURES / "failures.json"


def _read_failures(folder: Path) -> dict[str, str]:
    try:
        found = json.loads(_failures_path(folder).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(reason) for name, reason in found.items()} if isinstance(found, dict) else {}


def _read_results(folder: Path) -> Iterable[tuple[ResultNames, Mapping[str, Any]]]:
    for path in folder.glob(f"*{METADATA}"):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and "results" in found:  # another call is still writing one that has none
            yield ResultNames(folder, path.name.removesuffix(METADATA)), found


def _render(folder: Path, results: list[tuple[ResultNames, Mapping[str, Any]]], failures: list[Failure]) -> str:
    items = [_failure(each) for each in failures] + [_result(names, found) for names, found in results]
    count = f"{len(results)} video{'' if len(results) == 1 else 's'} analysed"
    if failures:
        count += f", {len(failures)} not"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Poses in {escape(folder.resolve().name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Poses in {escape(folder.resolve().name)}</h1>\n<p>{count}</p>\n<ul>\n"
        + "\n".join(items)
        + "\n</ul>\n</body>\n</html>\n"
    )


def _failure(failure: Failure) -> str:
    return (
        f'<li><div class="none"></div><div><h2>{escape(failure.video)}</h2>'
        f'<div class="bad">Not analysed: {escape(failure.reason)}</div></div></li>'
    )


def _result(names: ResultNames, found: Mapping[str, Any]) -> str:
    results, model = found["results"], found.get("model", {})
    picture = picture_path(names.folder, found.get("run_id"))
    people, frames = results.get("most_people", 0), results.get("frames", 0)
    about = f"{model.get('name', '')} · run {str(found.get('run_id', ''))[:8]}"
    numbers = (
        f"{length(results.get('video_s', 0.0))}, {frames} frames, "
        f"up to {_people(people)} at once, people in {results.get('frames_with_people', 0)} frames"
    )
    tags = " ".join(f"<span>{escape(f'{key}={value}')}</span>" for key, value in found.get("tags", {}).items())
    problem = ""
    if found.get("state") != "done":
        problem = f"The analysis {'was cancelled' if found.get('state') == 'cancelled' else 'failed'}. "
    if missing := results.get("frames_missing"):
        problem += f"{missing} of {frames} frames have no poses."
    video = str(found.get("video", {}).get("name", names.name))
    # The same content under another name is the same video; people know it by the name that they gave.
    title = video if names.name.startswith(Path(video).stem) else f"{names.name} (the same video as {video})"
    shown = (
        f'<a href="{_href(names.folder, names.video if names.video.exists() else picture)}">'
        f'<img src="{_href(names.folder, picture)}" alt="" loading="lazy"></a>'
        if picture.exists()
        else '<div class="none"></div>'
    )
    return (
        f"<li>{shown}<div><h2>{escape(title)}</h2>"
        f'<div class="numbers">{numbers}</div>'
        f'<div class="model">{escape(about)}</div>'
        + (f'<div class="tags">{tags}</div>' if tags else "")
        + (f'<div class="bad">{escape(problem)}</div>' if problem else "")
        + f'<div class="files">{_links(names)}</div></div></li>'
    )


def _links(names: ResultNames) -> str:
    titles = {names.video: "annotated video", names.sheet: "contact sheet", names.metadata: "about this run"}
    files = sorted(names.existing(), key=lambda path: (path not in (names.video, names.sheet), path == names.metadata))
    return "".join(f'<a href="{_href(names.folder, path)}">{escape(titles.get(path, path.name))}</a>' for path in files)


def _href(folder: Path, path: Path) -> str:
    return escape(quote(path.relative_to(folder).as_posix()))


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def length(seconds: float) -> str:
    """A video's length: `0:08`, `45:10`, `1:30:00`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
