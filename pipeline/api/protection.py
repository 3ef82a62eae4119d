"""What every answer says to browsers, and what is refused before anything looks at a request."""

from __future__ import annotations

import re
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from pipeline.api.origins import Origin, differs_in_scheme, is_own
from pipeline.api.problems import log_unexpected, problem, unexpected

#: `wasm-unsafe-eval` and workers are for decoders and pose models in the browser; nothing comes from another host.
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; media-src 'self' blob:; "
    "worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
MOST_JSON_BYTES = 2**20
#: It checks the length of its body itself.
_PART = re.compile(r"/api/v1/teams/[^/]+/uploads/[^/]+/parts/[^/]+")
_SAFE = {"GET", "HEAD", "OPTIONS"}


class Protection:
    """Add the headers, refuse what another site's page makes a browser send, and answer what nobody expected.

    A browser says with each request from where it comes: `Sec-Fetch-Site`, or `Origin` where that is too new for it.
    Requests with a key carry nothing that a browser adds by itself.

    Args:
        store_origin: of the object store, where pages send uploads to it themselves.
        web_origin: under which browsers reach the pages, where that is set.
        https_alone: whether browsers are told to come over TLS for a year. They take it of the name with all its ports,
            so not where other servers of this machine have none.
    """

    def __init__(
        self,
        app: ASGIApp,
        store_origin: str | None = None,
        *,
        web_origin: Origin | None = None,
        https_alone: bool = True,
    ) -> None:
        self._app = app
        self._web_origin = web_origin
        self._https_alone = https_alone
        sending = f"; connect-src 'self' {store_origin}" if store_origin else ""
        self._headers = {**_HEADERS, "Content-Security-Policy": POLICY + sending}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._guard_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        begun = False

        async def send_protected(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
                    # Whoever uses a browser next has another session, and gets nothing from its cache.
                    headers.add_vary_header("Cookie")
                if self._https_alone and scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        if self._is_foreign(scope):
            await _foreign(scope, "this request comes from another site's page, and was not done")(
                scope, receive, send_protected
            )
            return
        try:
            await self._app(scope, _limited(scope, receive), send_protected)
        except Exception as error:  # noqa: BLE001  uvicorn would log it, with all that its message holds
            plain = log_unexpected(scope, error)
            if begun:
                raise plain from None
            await unexpected()(scope, receive, send_protected)

    async def _guard_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in what this site's own pages open, and whoever has a key: a browser adds cookies to a WebSocket that
        any site's page opens, and no other check applies to it."""
        headers = Headers(scope=scope)
        if not (_has_key(headers) or is_own(scope, headers, self._web_origin)):
            refused = _foreign(
                scope,
                "this connection comes from another site's page, or from a program that gives no key "
                "(`Authorization: Bearer KEY`)",
            )
            await WebSocket(scope, receive, send).send_denial_response(refused)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  as above; uvicorn closes the connection
            raise log_unexpected(scope, error) from None

    def _is_foreign(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if scope["method"] in _SAFE or _has_key(headers):
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in {"same-origin", "none"}
        if "origin" in headers:
            return not is_own(scope, headers, self._web_origin)
        return "cookie" in headers


def _foreign(scope: Scope, line: str) -> Response:
    if differs_in_scheme(scope, Headers(scope=scope)):
        line = (
            "this page came over https, and its request over http: set POSELINE_WEB_URL to the page's address, and "
            "POSELINE_WEB_TRUSTED_PROXIES to that of the proxy between"
        )
    return problem(HTTPStatus.FORBIDDEN, line, "foreign-request")


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Receive no body that is longer than any but a part of an upload may be: JSON is read into memory as a whole."""
    if _PART.fullmatch(scope["path"]):
        return receive
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MOST_JSON_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request has at most 1 MiB; send less at once")
        return message

    return receive_limited


def _has_key(headers: Headers) -> bool:
    """Whether a key comes along, which no browser adds by itself; `Basic`, for a proxy, it does add."""
    return headers.get("authorization", "").lower().startswith("bearer ")
