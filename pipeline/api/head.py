"""HEAD: what a GET of the same address would answer, without the content."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FIELD = "poseline.head"


class _Enough(Exception):
    """The beginning of an answer is all that is wanted of it."""


class AnswerHead:
    """Answer a HEAD of the API as the GET of the same address, under the same checks, up to its content.

    What gives its content in pieces is ended at the first, or where it waits for one. `Range` is left out, which is
    defined for GET alone (RFC 9110, section 14.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return

        async def send_beginning(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
            elif message.get("more_body", False):
                raise _Enough

        headers = [(name, value) for name, value in scope["headers"] if name not in {b"range", b"if-range"}]
        asked = {**scope, "method": "GET", "headers": headers, _FIELD: True}
        try:
            await self._app(asked, receive, send_beginning)
        except _Enough:
            return
        finally:
            scope["route"] = asked.get("route")  # for the log of errors


def is_head(request: HTTPConnection) -> bool:
    """Whether only the beginning of an answer is wanted: nothing is downloaded then."""
    wanted: bool = request.scope.get(_FIELD, False)
    return wanted
