"""The pages: what the browser loads, and the one document that every address of theirs begins with."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pipeline.errors import NotFound
from pipeline.web import built_pages


class _Assets(StaticFiles):
    """Files whose names have a hash of their content. Some were compressed when they were built."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        compressed = f"{path}.gz"
        takes = "gzip" in Headers(scope=scope).get("accept-encoding", "")
        if takes and self.lookup_path(compressed)[1] is not None:
            response = await super().get_response(compressed, scope)
            kind = guess_type(path)[0] or "application/octet-stream"
            response.headers["Content-Type"] = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers.add_vary_header("Accept-Encoding")
        return response


def serve_pages(app: FastAPI) -> None:
    """Serve the built pages at every address that is not the API's.

    Raises:
        PagesMissing: they were not built.
    """
    pages = built_pages()
    app.router.routes.append(Mount("/assets", _Assets(directory=pages / "assets")))
    app.router.routes.append(Route("/{path:path}", _document(pages), methods=["GET", "HEAD"]))


def _document(pages: Path):  # type: ignore[no-untyped-def]
    async def answer(request: Request) -> Response:
        if request.url.path.startswith("/api/"):
            raise NotFound("there is nothing at this address; /api/v1/openapi.json lists what there is")
        return FileResponse(pages / "index.html", headers={"Cache-Control": "no-cache"})

    return answer
