"""A download that broke off, kept so that it can go on: its bytes, and beside them what they are bytes of."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

PARTIAL_PREFIX = ".partial-"


@dataclass(frozen=True)
class Begun:
    """What is here of a file.

    Args:
        total_bytes: None where the server did not say.
        validator: the server's strong ETag, or its Last-Modified, which go on being asked for.
    """

    got_bytes: int
    total_bytes: int | None
    validator: str

    @property
    def is_whole(self) -> bool:
        return self.got_bytes == self.total_bytes


@dataclass(frozen=True)
class Partial:
    """The place for what has come from one address for one file of weights; there is one such file a name.

    The card beside the bytes is written before the first of them and goes after the last, so bytes with a card are
    bytes of what the card tells. Write as the only writer.

    Args:
        name: of the weights.
        url: where they are fetched from. Its query, which is often a signature that passes, is no part of its identity.
    """

    folder: Path
    name: str
    url: str

    @property
    def path(self) -> Path:
        """The bytes."""
        identity = hashlib.sha256(without_query(self.url).encode()).hexdigest()
        return self.folder / f"{PARTIAL_PREFIX}{self.name}.{identity[:12]}"

    def look(self) -> Begun | None:
        """What is here and can go on; None where that is nothing, or makes no sense. Changes nothing."""
        try:
            card = json.loads(self._card_path.read_text())
            begun = Begun(self.path.stat().st_size, card["total_bytes"], card["validator"])
            largest = begun.got_bytes if begun.total_bytes is None else begun.total_bytes
            if 0 < begun.got_bytes <= largest and begun.validator.isascii() and begun.validator.isprintable():
                return begun
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return None

    def begin(self, total_bytes: int | None, validator: str | None) -> IO[bytes]:
        """Throw away what is here of these weights, from wherever, and start anew.

        Args:
            validator: None where the server gives none: then it cannot go on.
        """
        discard_partials(self.folder, self.name)
        if validator is not None:
            self._card_path.write_text(
                json.dumps({"url": without_query(self.url), "total_bytes": total_bytes, "validator": validator})
            )
        return self.path.open("wb")

    def go_on(self) -> IO[bytes]:
        """Behind what is here."""
        return self.path.open("ab")

    def discard(self) -> None:
        """It is of no use any more."""
        self.path.unlink(missing_ok=True)
        self._card_path.unlink(missing_ok=True)

    @property
    def _card_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")


def discard_partials(folder: Path, name: str) -> None:
    """Throw away what is here of these weights, from wherever it came."""
    # Names of weights have no dot, so `rtmpose-s` does not match `rtmpose-s-feet`.
    for left in folder.glob(f"{PARTIAL_PREFIX}{name}.*"):
        with contextlib.suppress(FileNotFoundError):
            left.unlink()


def without_query(url: str) -> str:
    """An address as it may be shown and kept: what stands behind the `?` may be somebody's key."""
    return urlsplit(url)._replace(query="", fragment="").geturl()
