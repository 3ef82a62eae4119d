"""Extract the one network from a fetched file: a zip that holds it, or the ONNX file itself, by the first bytes."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.errors import InvalidWeights
from pipeline.inference.weights import http_download

#: The name of the network in mmdeploy's zips.
ZIP_MEMBER = "end2end.onnx"
TEMPORARY_PREFIX = ".fetch-"

_BLOCK_BYTES = 2**20


def unpack(received: Path, folder: Path, where: str) -> tuple[Path, str]:
    """Copy the network in a file to a temporary file in `folder`; returns its path and SHA-256.

    No name from an archive is used as a path.

    Args:
        where: the source, for error messages.

    Raises:
        InvalidWeights: the file is a web page, a damaged zip, above the size limit, or not of exactly one network.
    """
    try:
        with received.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InvalidWeights(f"{where} cannot be read ({error.strerror})") from error
    if not head.startswith(b"PK"):
        if head.lstrip().startswith(b"<"):
            raise InvalidWeights(f"{where} gives a web page, not a model; check for a login page or a proxy")
        with received.open("rb") as file:
            return _copy(file, folder, where)
    try:
        with zipfile.ZipFile(received) as archive:
            found = [each for each in archive.infolist() if PurePosixPath(each.filename).name == ZIP_MEMBER]
            if len(found) != 1:
                raise InvalidWeights(f"{where} holds {len(found)} files called {ZIP_MEMBER}, not one")
            with archive.open(found[0]) as member:
                return _copy(member, folder, f"{ZIP_MEMBER} in {where}")
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidWeights(f"{where} is a damaged zip file ({error}); try again, or name another source") from error


def _copy(file: IO[bytes], folder: Path, where: str) -> tuple[Path, str]:
    digest, got_bytes = hashlib.sha256(), 0
    with _temporary(folder) as (path, copy):
        while block := file.read(_BLOCK_BYTES):
            got_bytes += len(block)
            if got_bytes > http_download.MAX_BYTES:
                raise InvalidWeights(f"{where} is larger than {http_download.MAX_BYTES >> 20} MiB: it is not the model")
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    return path, digest.hexdigest()


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file, removed if the block fails."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield Path(name), file
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
