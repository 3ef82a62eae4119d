"""An interrupted download, kept so that it can be resumed: its bytes, and a sidecar that says of which file."""

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
class PartialState:
    """The part of a file that has been downloaded.

    Args:
        total_bytes: None where the server did not say.
        validator: the server's strong ETag or Last-Modified, sent as If-Range when the download is resumed.
    """

    got_bytes: int
    total_bytes: int | None
    validator: str

    @property
    def is_complete(self) -> bool:
        return self.got_bytes == self.total_bytes


@dataclass(frozen=True)
class Partial:
    """The partial download of one file of weights from one address; there is one a name.

    A partial file is valid only with its sidecar, which is written first and removed last. Hold `write_lock`.

    Args:
        name: of the weights.
        url: where they are fetched from. Its query is often a signature that expires, so it does not count.
    """

    folder: Path
    name: str
    url: str

    @property
    def path(self) -> Path:
        """The bytes."""
        identity = hashlib.sha256(without_query(self.url).encode()).hexdigest()
        return self.folder / f"{PARTIAL_PREFIX}{self.name}.{identity[:12]}"

    def read_state(self) -> PartialState | None:
        """Read the state from the sidecar and the file size; None where it cannot be resumed."""
        try:
            sidecar = json.loads(self._sidecar_path.read_text())
            begun = PartialState(self.path.stat().st_size, sidecar["total_bytes"], sidecar["validator"])
            largest = begun.got_bytes if begun.total_bytes is None else begun.total_bytes
            if 0 < begun.got_bytes <= largest and begun.validator.isascii() and begun.validator.isprintable():
                return begun
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return None

    def start(self, total_bytes: int | None, validator: str | None) -> IO[bytes]:
        """Discard every partial file of these weights and open an empty one.

        Args:
            validator: None where the server gives none; the download then cannot be resumed.
        """
        discard_partials(self.folder, self.name)
        if validator is not None:
            self._sidecar_path.write_text(
                json.dumps({"url": without_query(self.url), "total_bytes": total_bytes, "validator": validator})
            )
        return self.path.open("wb")

    def resume(self) -> IO[bytes]:
        """Open the partial file to append."""
        return self.path.open("ab")

    def discard(self) -> None:
        """Remove the partial file and its sidecar."""
        self.path.unlink(missing_ok=True)
        self._sidecar_path.unlink(missing_ok=True)

    @property
    def _sidecar_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")


def discard_partials(folder: Path, name: str) -> None:
    """Remove the partial files of these weights from all addresses."""
    # Names of weights have no dot, so `rtmpose-s` does not match `rtmpose-s-feet`.
    for left in folder.glob(f"{PARTIAL_PREFIX}{name}.*"):
        with contextlib.suppress(FileNotFoundError):
            left.unlink()


def without_query(url: str) -> str:
    """The address without query and fragment, which may hold a secret."""
    return urlsplit(url)._replace(query="", fragment="").geturl()
