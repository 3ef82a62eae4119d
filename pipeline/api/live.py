"""The one door of live sessions: a WebSocket from a client, joined to one of a live process that has room.

Who may come in is checked before the connection is accepted, and again while it lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from pipeline.api.access import caller_of, require_role
from pipeline.api.problems import answer_to
from pipeline.core.live_protocol import (
    HELLO_S,
    MAX_MESSAGE_BYTES,
    PING_S,
    STARTING_S,
    BadMessage,
    CloseCode,
    Hello,
    Mode,
    closing_reason,
    read_client,
    read_object,
    to_text,
)
from pipeline.core.roles import Role
from pipeline.db.live_processes import LiveProcessRow
from pipeline.errors import NotAllowed, NotFound, NotSignedIn, PoselineError, TooManySessions
from pipeline.logs import get_logger
from pipeline.services.accounts.callers import Caller
from pipeline.services.live.begin import begin_session, give_ticket, processes_to_ask
from pipeline.services.live.processes import end_session
from pipeline.services.system import System

log = get_logger(__name__)
router = APIRouter()

#: Revoked keys and ended sign-ins are found within this time.
CHECK_EVERY_S = 30.0
_CONNECT_S = 5.0
#: A client that closes says one of these; without a word the connection was lost.
_LEFT = {1000, 1001}
_NO_PROCESS = "no live process runs; whoever runs this server starts one with `poseline live`"


class _Ended(Exception):
    """The session ends, and the client is told so."""

    def __init__(self, code: int, reason: str, text: str | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.text = code, reason, text


@router.websocket("/teams/{team_id}/live")
async def live(socket: WebSocket, team_id: UUID) -> None:
    """A live session of a coach of the team, or of a key of one."""
    system: System = socket.app.state.system
    try:
        caller = await asyncio.to_thread(_require, socket, system, team_id)
    except PoselineError as error:
        await socket.send_denial_response(answer_to(error))
        return
    await socket.accept()
    tunnel = _Tunnel(socket, system, team_id)
    try:
        await tunnel.run(caller)
    except _Ended as ended:
        await _close(socket, ended)
    except WebSocketDisconnect as gone:
        tunnel.reason = tunnel.reason or ("the client left" if gone.code in _LEFT else "the connection was lost")
    except PoselineError as error:
        log.warning("live_tunnel_failed", reason=error.message)
        await _close(socket, _Ended(CloseCode.RESTARTS, error.message))
    except Exception:
        tunnel.reason = tunnel.reason or "it failed; the log of the web process says why"
        raise
    finally:
        await tunnel.end()


def _require(socket: WebSocket, system: System, team_id: UUID) -> Caller:
    caller = caller_of(socket, system)
    require_role(caller, team_id, Role.COACH)
    return caller


class _Tunnel:
    """One client's connection, and that to the process which serves it."""

    def __init__(self, socket: WebSocket, system: System, team_id: UUID) -> None:
        self.reason = ""
        self._socket = socket
        self._system = system
        self._team_id = team_id
        self._session_id: UUID | None = None
        self._process: ClientConnection | None = None

    async def run(self, caller: Caller) -> None:
        """Find a process for the client, and pass messages on until one side ends."""
        text, hello = await self._receive_hello()
        try:
            self._session_id = await asyncio.to_thread(begin_session, self._system, caller, self._team_id, hello)
        except TooManySessions as error:
            raise _refusal(error.message, Mode.PREVIEW) from error
        first = await self._find_process(text)
        await _send(self._socket, first)
        await _first_of(self._pass_up, self._pass_down, self._check)

    async def end(self) -> None:
        """Close what is still open, and note the end where the process has not."""
        if self._process is not None:
            closing = self._process.close(1000, closing_reason(self.reason or "the client left"))
            with contextlib.suppress(ConnectionClosed, TimeoutError, OSError):
                await asyncio.wait_for(closing, _CONNECT_S)
        if self._session_id is not None:
            try:
                await asyncio.to_thread(
                    end_session, self._system, self._session_id, self.reason or "the live process ended"
                )
            except PoselineError as error:
                log.warning("live_session_not_noted", session=str(self._session_id), reason=error.message)

    async def _receive_hello(self) -> tuple[str, Hello]:
        try:
            message = await asyncio.wait_for(self._receive(), HELLO_S)
            hello = read_client(message)
        except TimeoutError:
            raise _wrong(f"no `hello` came within {HELLO_S:g} s") from None
        except BadMessage as error:
            raise _wrong(str(error)) from error
        if not isinstance(hello, Hello) or not isinstance(message, str):
            raise _wrong("the first message is `hello`")
        return message, hello

    async def _receive(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
        text: str | None = message.get("text")
        data: bytes | None = message.get("bytes")
        return text if text is not None else data or b""

    async def _find_process(self, hello: str) -> str:
        """Connect to the first process that lets this session in. Returns its first message."""
        refused: _Ended | None = None
        for process in await asyncio.to_thread(processes_to_ask, self._system):
            try:
                connection, first, found = await self._ask(process, hello)
            except (InvalidHandshake, InvalidMessage, ConnectionClosed, OSError, TimeoutError, BadMessage) as error:
                # It is gone, busy, of another version, or no live process.
                log.warning("live_process_unreachable", process=process.name, reason=f"{type(error).__name__}: {error}")
                continue
            if found["type"] != "refused":
                self._process = connection
                return first
            refused = _Ended(CloseCode.REFUSED, str(found.get("reason")), first)
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                await connection.close()
        self.reason = refused.reason if refused is not None else _NO_PROCESS
        raise refused or _refusal(_NO_PROCESS, Mode.PREVIEW)

    async def _ask(self, process: LiveProcessRow, hello: str) -> tuple[ClientConnection, str, Mapping[str, Any]]:
        assert self._session_id is not None
        ticket = await asyncio.to_thread(give_ticket, self._system, self._session_id, process.name)
        connection = await connect(
            f"{process.url}/live",
            additional_headers={"Authorization": f"Ticket {ticket}"},
            open_timeout=_CONNECT_S,
            close_timeout=_CONNECT_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=4,
            compression=None,
            proxy=None,
            user_agent_header=None,
        )
        try:
            await connection.send(hello)
            first, found = await _receive_object(connection, HELLO_S)
            if found["type"] == "starting":
                await _send(self._socket, first)
                first, found = await _receive_object(connection, STARTING_S)
        except BaseException:
            connection.transport.abort()
            raise
        return connection, first, found

    async def _pass_up(self) -> None:
        assert self._process is not None
        while True:
            message = await self._receive()
            with contextlib.suppress(ConnectionClosed):  # the other direction says why
                await self._process.send(message)

    async def _pass_down(self) -> None:
        assert self._process is not None
        try:
            while True:
                await _send(self._socket, await self._process.recv())
        except ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code < 1000 or closed.rcvd.code in {1001, 1005, 1006, 1011}:
                text = "the live process ended; connect again"
                raise _Ended(CloseCode.RESTARTS, text, to_text("ended", reason=text)) from closed
            self.reason = closed.rcvd.reason
            raise _Ended(closed.rcvd.code, closed.rcvd.reason) from closed

    async def _check(self) -> None:
        """Look again and again whether the client may still do this."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            try:
                await asyncio.to_thread(_require, self._socket, self._system, self._team_id)
            except PoselineError as error:
                if not isinstance(error, NotSignedIn | NotAllowed | NotFound):
                    log.warning("live_access_unchecked", reason=error.message)
                    continue
                self.reason = "it was signed out, its key was revoked, or its role has changed"
                raise _Ended(CloseCode.SIGNED_OUT, self.reason, to_text("ended", reason=self.reason)) from error


async def _first_of(*calls: Callable[[], Awaitable[Any]]) -> None:
    """Run calls until the first ends, and raise what it raised."""
    tasks = [asyncio.ensure_future(call()) for call in calls]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        # An end that has a reason comes before a socket that was closed for it.
        for task in sorted(done, key=lambda task: not isinstance(task.exception(), _Ended)):
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _receive_object(connection: ClientConnection, within_s: float) -> tuple[str, Mapping[str, Any]]:
    message = await asyncio.wait_for(connection.recv(), within_s)
    if not isinstance(message, str):
        raise BadMessage("its first message was no text")
    return message, read_object(message)


async def _send(socket: WebSocket, message: str | bytes) -> None:
    """Send to the client.

    Raises:
        WebSocketDisconnect: it is gone, or the connection was closed meanwhile.
    """
    try:
        await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))
    except RuntimeError as error:  # of Starlette, and of uvicorn: they have closed it
        raise WebSocketDisconnect(1006) from error


async def _close(socket: WebSocket, ended: _Ended) -> None:
    """Tell the client why it is closed, unless it does not read."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(_CONNECT_S):
            if ended.text is not None:
                await socket.send_text(ended.text)
            await socket.close(ended.code, closing_reason(ended.reason))


def _refusal(reason: str, offer: Mode) -> _Ended:
    return _Ended(CloseCode.REFUSED, reason, to_text("refused", reason=reason, offer=offer))


def _wrong(reason: str) -> _Ended:
    return _Ended(CloseCode.PROTOCOL, reason, to_text("ended", reason=reason))
