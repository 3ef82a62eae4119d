"""Download one file over HTTP with limits on size, time and silence, resuming an interrupted download.

A download is resumed only if the server confirms that the file is unchanged (RFC 9110, Range and If-Range); otherwise
it starts again, so a file is never assembled from two versions.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from pipeline.errors import InvalidWeights, ServiceUnavailable, UsageError
from pipeline.inference.weights.resume import Partial, PartialState, without_query

#: Called with the bytes so far and the total, None where the server does not give it.
OnProgress = Callable[[int, int | None], None]

#: Far above any model: YOLOX-x, the largest, has 99 million float32 parameters.
MAX_BYTES = 800 * 2**20
SILENCE_S = 30.0
DEADLINE_S = 3600.0
#: Before each retry; the list starts again when a retry made progress.
PAUSES_S = (1.0, 3.0, 9.0)

_BLOCK_BYTES = 2**20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class _ConnectionBroken(ServiceUnavailable):
    """The connection ended before the end of the file."""

    def __init__(self, message: str, got_bytes: int) -> None:
        super().__init__(message)
        self.got_bytes = got_bytes


class _FileChanged(Exception):
    """The server's file is not the one whose download was begun."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def require_safe(url: str) -> None:
    """Require https or loopback, so that nothing on the way can change the weights.

    Raises:
        UsageError: the address is neither, or holds a password.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{url!r} is not an address ({error})") from error
    if "@" in parts.netloc:
        raise UsageError(f"remove user and password from the address of the models, {parts.netloc.rpartition('@')[2]}")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UsageError(f"models are fetched over https only, not from {without_query(url)}")


def download(
    url: str, partial: Partial, on_progress: OnProgress | None = None, pause: Callable[[float], None] = time.sleep
) -> None:
    """Download `url` to `partial.path`, resuming what is there. Hold `write_lock`.

    An interrupted connection is retried while retries make progress; the part received stays for the next call. A
    connection that was never made is not retried.

    Args:
        pause: sleeps for a number of seconds.

    Raises:
        ServiceUnavailable: the server cannot be reached, refuses, or was interrupted too often.
        InvalidWeights: the file is above the size limit.
        UsageError: the address is neither https nor loopback.
    """
    require_safe(url)
    deadline = time.monotonic() + DEADLINE_S
    furthest_bytes, pauses = -1, iter(PAUSES_S)
    while True:
        try:
            _get(url, partial, on_progress or (lambda _done, _total: None), deadline)
        except ServiceUnavailable as error:
            if isinstance(error, _ConnectionBroken) and error.got_bytes > furthest_bytes:
                furthest_bytes, pauses = error.got_bytes, iter(PAUSES_S)
            pause_s = next(pauses, None)
            if furthest_bytes < 0 or pause_s is None or time.monotonic() > deadline:
                raise
            pause(pause_s)
        else:
            return


def _get(url: str, partial: Partial, on_progress: OnProgress, deadline: float) -> None:
    begun = partial.read_state()
    if begun is not None and begun.is_complete:
        on_progress(begun.got_bytes, begun.total_bytes)
        return
    if begun is not None:
        try:
            with _open(url, begun) as response:
                _save(url, response, partial, begun, on_progress, deadline)
                return
        except _FileChanged:
            partial.discard()
    with _open(url, None) as response:
        _save(url, response, partial, None, on_progress, deadline)


def _save(
    url: str,
    response: http.client.HTTPResponse,
    partial: Partial,
    begun: PartialState | None,
    on_progress: OnProgress,
    deadline: float,
) -> None:
    shown, got_bytes = without_query(url), 0
    if response.status == http.HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        total_bytes = int(length) if length.isdigit() else None
        file = partial.start(total_bytes, _validator(response.headers))
    elif begun is None:
        raise ServiceUnavailable(f"{shown} answers {response.status}")
    else:
        total_bytes = _continued_total(response, begun)
        file, got_bytes = partial.resume(), begun.got_bytes
    with file:
        while True:
            if max(got_bytes, total_bytes or 0) > MAX_BYTES:
                partial.discard()
                raise InvalidWeights(f"{shown} is larger than {MAX_BYTES >> 20} MiB: it is not the model")
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"{shown} was not complete after {DEADLINE_S / 60:.0f} minutes; try again")
            on_progress(got_bytes, total_bytes)
            left = _BLOCK_BYTES if total_bytes is None else min(_BLOCK_BYTES, total_bytes - got_bytes)
            block = _read(shown, response, left, got_bytes)
            if not block:
                break
            got_bytes += file.write(block)
    if total_bytes is not None and got_bytes < total_bytes:
        raise _ConnectionBroken(f"{shown} was interrupted after {got_bytes} of {total_bytes} bytes", got_bytes)


def _validator(headers: Message) -> str | None:
    """The strong validator of this version of the file (RFC 9110, 8.8 and 13.1.5); None where there is none."""
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    if re.fullmatch(r'"[!#-~]*"', etag):
        return etag
    try:
        # A date counts only where a second change in the same second is ruled out.
        aged = email.utils.parsedate_to_datetime(headers.get("Date", "")) - email.utils.parsedate_to_datetime(modified)
    except (ValueError, TypeError):
        return None
    return modified if aged >= timedelta(seconds=1) else None


def _continued_total(response: http.client.HTTPResponse, begun: PartialState) -> int:
    """Read the total size from a partial response.

    Raises:
        _FileChanged: the response is not the rest of the file that was begun.
    """
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    named = response.headers.get("ETag" if begun.validator.startswith('"') else "Last-Modified", begun.validator)
    if response.status != http.HTTPStatus.PARTIAL_CONTENT or found is None or named != begun.validator:
        raise _FileChanged
    start, total_bytes = int(found[1]), int(found[2])
    if start != begun.got_bytes or begun.total_bytes not in {None, total_bytes}:
        raise _FileChanged
    return total_bytes


@contextlib.contextmanager
def _open(url: str, begun: PartialState | None) -> Iterator[http.client.HTTPResponse]:
    headers = {"User-Agent": "poseline", "Accept-Encoding": "identity"}
    if begun is not None:
        headers |= {"Range": f"bytes={begun.got_bytes}-", "If-Range": begun.validator}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - require_safe saw it
    shown = without_query(url)
    try:
        response = urllib.request.build_opener(_SafeRedirects).open(request, timeout=SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        if begun is not None and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _FileChanged from error
        raise ServiceUnavailable(f"{shown} answers {error.code} {' '.join(str(error.reason).split())}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ServiceUnavailable(f"{shown} cannot be reached ({reason})") from error
    with response:
        yield response


def _read(shown: str, response: http.client.HTTPResponse, count: int, got_bytes: int) -> bytes:
    """Read what has arrived without waiting for a full block, so that an interruption loses nothing."""
    try:
        return response.read1(count) if count else b""
    except (OSError, http.client.HTTPException) as error:
        raise _ConnectionBroken(f"{shown} was interrupted after {got_bytes} bytes ({error})", got_bytes) from error
