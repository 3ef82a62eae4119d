"""One file out of one zip from the internet, with a bound on everything: time, bytes sent, bytes unpacked."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from pipeline.errors import ModelUnusable, ServiceUnavailable, UsageError

#: Called with bytes so far and bytes in all, None where the server does not say.
OnProgress = Callable[[int, int | None], None]

#: No model comes near it: RTMO-l, the largest, has about 45 million float32 parameters.
MAX_BYTES = 400 * 2**20
SILENCE_S = 30.0
DEADLINE_S = 3600.0
TEMPORARY_PREFIX = ".fetch-"

_BLOCK_BYTES = 2**20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def require_safe(url: str) -> None:
    """Nothing on the way may change the weights: https, or this machine itself.

    Raises:
        UsageError: the address is another kind.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UsageError(f"models are fetched over https only, not from {url}")


def download(url: str, folder: Path, on_progress: OnProgress | None = None) -> Path:
    """A new temporary file in `folder` with everything that `url` gives; the caller moves or removes it.

    Raises:
        ServiceUnavailable: there is no way to the server, it refuses, or it broke off.
        ModelUnusable: the file is larger than any model.
        UsageError: the address is neither https nor loopback.
    """
    require_safe(url)
    with _temporary(folder) as (path, file), _open(url) as response:
        length = response.headers.get("Content-Length", "")
        total_bytes = int(length) if length.isdigit() else None
        got_bytes, deadline = 0, time.monotonic() + DEADLINE_S
        while block := _read(url, response):
            got_bytes += len(block)
            if max(got_bytes, total_bytes or 0) > MAX_BYTES:
                raise ModelUnusable(f"{url} is larger than {MAX_BYTES >> 20} MiB: it is not the model")
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"{url} was not through after {DEADLINE_S / 60:.0f} minutes; try again")
            file.write(block)
            if on_progress is not None:
                on_progress(got_bytes, total_bytes)
        if total_bytes is not None and got_bytes < total_bytes:
            raise ServiceUnavailable(f"{url} broke off after {got_bytes} of {total_bytes} bytes; try again")
        return path


def unpack_only(archive: Path, member_name: str, folder: Path) -> tuple[Path, str]:
    """The one member called `member_name`, in whatever folder of the archive, as (temporary file, its SHA-256).

    No name out of the archive is ever used as a path.

    Raises:
        ModelUnusable: no sound zip, not exactly one such member, or one that is larger than any model.
    """
    try:
        with zipfile.ZipFile(archive) as opened, _temporary(folder) as (path, file):
            found = [each for each in opened.infolist() if PurePosixPath(each.filename).name == member_name]
            if len(found) != 1:
                raise ModelUnusable(f"the download holds {len(found)} files called {member_name}, not one")
            digest, got_bytes = hashlib.sha256(), 0
            with opened.open(found[0]) as member:
                while block := member.read(_BLOCK_BYTES):
                    got_bytes += len(block)
                    if got_bytes > MAX_BYTES:
                        raise ModelUnusable(f"{member_name} is larger than {MAX_BYTES >> 20} MiB: it is not the model")
                    digest.update(block)
                    file.write(block)
            file.flush()
            os.fsync(file.fileno())
            return path, digest.hexdigest()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelUnusable(
            f"the download is no sound zip file ({error}); try again, or name another mirror"
        ) from error


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new file that goes away if the block fails."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield Path(name), file
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _open(url: str) -> Iterator[http.client.HTTPResponse]:
    request = urllib.request.Request(url, headers={"User-Agent": "poseline"})  # noqa: S310 - require_safe saw it
    try:
        response = urllib.request.build_opener(_SafeRedirects).open(request, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise ServiceUnavailable(f"{url} answers {error.code} {' '.join(str(error.reason).split())}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ServiceUnavailable(f"{url} cannot be reached ({reason})") from error
    with response:
        yield response


def _read(url: str, response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise ServiceUnavailable(f"{url} broke off ({error}); try again") from error
