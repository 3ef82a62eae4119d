"""The built pages over plain HTTP on loopback, under the Content-Security-Policy that they are made for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; media-src 'self' blob:; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'"
)
#: What this serves without a policy, for tests of what a page without one could do.
BARE = "/bare.html"


_NOBODY = {"kind": "nobody", "email": "", "name": "", "operator": False, "teams": [], "shared": None, "provider": None}


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/api/v1/session":
            self.send_response(HTTPStatus.OK)
            self.end_headers()
            self.wfile.write(json.dumps(_NOBODY).encode())
            return
        # Every address of the pages begins with the same document.
        if self.path != BARE and not self.path.startswith("/assets/"):
            self.path = "/"
        super().do_GET()

    def end_headers(self) -> None:
        if self.path != BARE:
            self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def serve(pages: Path) -> Iterator[int]:
    """Serve a directory for one block; gives the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(pages))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
