"""Sources of weights: the publisher, a mirror, a folder, or one file."""

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
class WebSource:
    """HTTP servers, tried one after the other.

    Args:
        addresses: prefixes of the publisher's paths; with `is_file`, the address of the file itself.
    """

    addresses: tuple[str, ...]
    is_file: bool = False

    def urls(self, weights: Weights) -> tuple[str, ...]:
        """The addresses at which the file of these weights is expected."""
        if self.is_file:
            return self.addresses
        return tuple(f"{prefix.rstrip('/')}/{weights.zip_path}" for prefix in self.addresses)


@dataclass(frozen=True)
class LocalSource:
    """A folder of files copied from elsewhere, or one such file."""

    path: Path

    def file_of(self, weights: Weights) -> Path:
        """Find the file of these weights: the publisher's zip, packed or unpacked, or an ONNX file named after either.

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
            f"{weights.name} is not in {self.path}; expected {below.name}, {weights.name}.onnx, or {ZIP_MEMBER} in "
            f"a folder {below.stem}"
        )


WeightsSource = WebSource | LocalSource

PUBLISHER = WebSource(PUBLISHER_PREFIXES)


def mirror_source(url: str) -> WebSource:
    """Build the source of a server that mirrors the publisher's files.

    Raises:
        UsageError: its address is neither https nor loopback.
    """
    require_safe(url)
    return WebSource((url,))


def find_source(text: str, wanted: Sequence[Weights]) -> WeightsSource:
    """Build the source that a user names: an address or a path.

    Args:
        wanted: the files to fetch from it.

    Raises:
        UsageError: it does not exist, or is one file and several are wanted.
    """
    is_url = "://" in text
    if is_url:
        require_safe(text)
    elif not Path(text).exists():
        raise UsageError(f"{text} does not exist; name a folder, a file, or an https address")
    is_file = urlsplit(text).path.lower().endswith(_FILE_ENDINGS) if is_url else Path(text).is_file()
    if is_file and len(wanted) > 1:
        raise UsageError(
            f"{without_query(text) if is_url else text} is one file, but {len(wanted)} are needed "
            f"({', '.join(each.name for each in wanted)}); name a folder or address that holds them all"
        )
    return WebSource((text,), is_file) if is_url else LocalSource(Path(text))
