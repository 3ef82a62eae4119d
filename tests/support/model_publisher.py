"""A server on loopback with the files of a publisher of models, and with every fault that one can have."""

from __future__ import annotations

import email.utils
import hashlib
import http.server
import io
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.inference.weights.checksums import read_checksums, write_checksums
from pipeline.inference.weights.fetcher import Fetcher, needed_weights
from pipeline.inference.weights.sources import mirror_source
from pipeline.inference.zoo import FoundModel, find_model

#: What mmdeploy's zips hold beside the network, as large as a few reads.
FILLER = {"20231219/detail.json": os.urandom(300_000)}


@dataclass
class Publisher:
    """What it gives and what it was asked.

    Args:
        body: for every path that is not in `bodies`, which go by the last part of the path.
        break_after: the next answers end after so many bytes.
        hold_after: from now on answers stop after so many bytes until `go_on` is set.
        status: of every answer.
        claimed_bytes: added to what Content-Length says; None for none.
        etag, last_modified: what stands in every answer; an ETag of None is made from the body; `now` is that second.
        ranges: whether Range is understood; `obstinate` gives the range whatever If-Range says.
        skips_bytes: by which a range begins too late.
        asked: path and Range of every request.
    """

    body: bytes = b""
    bodies: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    hold_after: int | None = None
    status: int = 200
    location: str = ""
    claimed_bytes: int | None = 0
    etag: str | None = None
    last_modified: str = ""
    ranges: bool = True
    obstinate: bool = False
    skips_bytes: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    was_asked: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    @property
    def ranges_asked(self) -> list[str | None]:
        return [wanted for _, wanted in self.asked]

    def body_of(self, path: str) -> bytes:
        return self.bodies.get(path.partition("?")[0].rpartition("/")[2], self.body)

    def give(self, onnx: Path, member: str = "20231219/rtmo-t/end2end.onnx") -> None:
        """The zip of a network; of networks of one size, the zips are as well."""
        self.body = zipped({member: onnx.read_bytes(), **FILLER}, zipfile.ZIP_STORED)


def fetch(name: str, models: Path, url: str) -> FoundModel:
    """Fetch a model from a mirror, without waiting between tries."""
    fetcher = Fetcher(models, mirror_source(url), pause=lambda _seconds: None)
    for weights in needed_weights([name]):
        fetcher.fetch(weights)
    return find_model(name, models)


def left_in(models: Path) -> set[str]:
    return {path.name for path in models.iterdir()}


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return memory.getvalue()


@contextmanager
def publishing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A publisher that answers until the block ends."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    publisher = Publisher()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(publisher))
    publisher.url = f"http://127.0.0.1:{server.server_port}/projects/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield publisher
    publisher.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(publisher: Publisher) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            publisher.asked.append((self.path, wanted))
            publisher.was_asked.set()
            if publisher.hold_after == 0:
                publisher.go_on.wait(60)
            body = publisher.body_of(self.path)
            etag = f'"{hashlib.md5(body).hexdigest()}"' if publisher.etag is None else publisher.etag
            part, status = body, publisher.status
            self._content_range = ""
            if wanted and publisher.ranges and status == 200:
                same = self.headers["If-Range"] in {etag, publisher.last_modified} - {""}
                if same or publisher.obstinate:
                    status, part = self._cut(body, wanted)
            self.send_response(status)
            for name, value in {
                "Content-Length": "" if publisher.claimed_bytes is None else str(len(part) + publisher.claimed_bytes),
                "Content-Range": self._content_range,
                "ETag": etag,
                "Last-Modified": publisher.last_modified.replace("now", self.date_time_string()),
                "Location": publisher.location,
            }.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self._send(part)

        def _cut(self, body: bytes, wanted: str) -> tuple[int, bytes]:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) + publisher.skips_bytes
            if start >= len(body):
                self._content_range = f"bytes */{len(body)}"
                return 416, b""
            self._content_range = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return 206, body[start:]

        def _send(self, part: bytes) -> None:
            try:
                if publisher.break_after:
                    self.wfile.write(part[: publisher.break_after.pop(0)])
                    return
                if publisher.hold_after:
                    self.wfile.write(part[: publisher.hold_after])
                    publisher.go_on.wait(60)
                    part = part[publisher.hold_after :]
                self.wfile.write(part)
            except ConnectionError:  # who asked has gone, as some tests mean it to
                pass

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def http_date(seconds_ago: float) -> str:
    return email.utils.formatdate(email.utils.localtime().timestamp() - seconds_ago, usegmt=True)


def brought(models: Path, files: dict[str, Path]) -> dict[str, str]:
    """A folder of models as a fetch leaves it, with these files more; their SHA-256s, by name of the weights."""
    models.mkdir(exist_ok=True)
    sha256s = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    for name, file in files.items():
        (models / f"{name}.onnx").write_bytes(file.read_bytes())
    write_checksums(models, read_checksums(models) | sha256s)
    return sha256s
