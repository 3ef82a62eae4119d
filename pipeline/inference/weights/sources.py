"""Where weights may come from: the publisher, another server with its files, a folder, or one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pipeline.errors import InvalidWeights, UsageError
from pipeline.inference.catalogue import PUBLISHER_PREFIXES, Weights
from pipeline.inference.weights.http_download import require_safe
from pipeline.inference.weights.resume import without_query
from pipeline.inference.weights.unpacking import ZIP_MEMBER

_FILE_ENDINGS = (".zip", ".onnx")


@dataclass(frozen=True)
class Web:
    """Servers, tried one after the other.

    Args:
        addresses: prefixes with the publisher's paths below them, or with `is_file` the file's own.
    """

    addresses: tuple[str, ...]
    is_file: bool = False

    def urls(self, weights: Weights) -> tuple[str, ...]:
        """Where the file of these weights would be."""
        if self.is_file:
            return self.addresses
        return tuple(f"{prefix.rstrip('/')}/{weights.zip_path}" for prefix in self.addresses)


@dataclass(frozen=True)
class Disk:
    """A folder of files that were brought here, or one such file."""

    path: Path

    def file_of(self, weights: Weights) -> Path:
        """The file of these weights: the publisher's zip, unpacked or not, or an ONNX file named after either.

        Raises:
            InvalidWeights: it is not there.
        """
        if self.path.is_file():
            return self.path
        below = PurePosixPath(weights.zip_path or "")
        names = [str(below), below.name, f"{weights.name}.onnx", f"{weights.name}.zip", f"{below.stem}.onnx"]
        for name in names:
            if (self.path / name).is_file():
                return self.path / name
        for unpacked in (self.path / below.with_suffix(""), self.path / below.stem):
            found = sorted(unpacked.rglob(ZIP_MEMBER))
            if len(found) == 1:
                return found[0]
        raise InvalidWeights(
            f"{weights.name} is not in {self.path}; it would be {below.name}, {weights.name}.onnx, or {ZIP_MEMBER} in "
            f"a folder {below.stem}"
        )


Place = Web | Disk

PUBLISHER = Web(PUBLISHER_PREFIXES)


def mirror(url: str) -> Web:
    """A server with the publisher's files.

    Raises:
        UsageError: its address is neither https nor loopback.
    """
    require_safe(url)
    return Web((url,))


def find_place(text: str, wanted: Sequence[Weights]) -> Place:
    """The place that a person means: an address, or a path.

    Args:
        wanted: what is to come from there.

    Raises:
        UsageError: there is no such place, or it is one file, and more are wanted.
    """
    is_url = "://" in text
    if is_url:
        require_safe(text)
    elif not Path(text).exists():
        raise UsageError(f"there is no {text}; name a folder, a file, or an https address")
    is_file = urlsplit(text).path.lower().endswith(_FILE_ENDINGS) if is_url else Path(text).is_file()
    if is_file and len(wanted) > 1:
        raise UsageError(
            f"{without_query(text) if is_url else text} is one file, but {len(wanted)} are needed "
            f"({', '.join(each.name for each in wanted)}); name the place that holds them all"
        )
    return Web((text,), is_file) if is_url else Disk(Path(text))
