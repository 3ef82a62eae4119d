"""One decoder child as the worker sees it: start it, exchange records, and end it without leaving anything behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from pipeline.core.frame_index import Int64s
from pipeline.errors import DecodeFailed, DecoderKilled, DecoderUnavailable, Stopping, VideoRejected
from pipeline.video import wire, zygote_client
from pipeline.video.byte_channel import ByteServer
from pipeline.video.decode_request import DecodeRequest, RequestKind
from pipeline.video.source import ByteSource
from pipeline.video.wire import RecordKind

POLL_S = 0.1
KILL_WAIT_S = 5.0
# The zygote tells the end of a child at once; one that only closed its socket lives on.
END_WAIT_S = 0.5
# Never sent by a crash, nor by the kernel for a limit that gives its reason first.
KILLED_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)
# A child that sends nothing but ticks is ended after this many times its CPU limit of wall time.
WALL_PER_CPU_LIMIT = 4
# A record is small and sent at once; a child that stops in the middle of one is broken.
RECORD_TIMEOUT_S = 10.0
# A child sends two ticks a second.
MAX_TICKS = 100
MAX_TICKS_PER_S = 10


class DecoderProcess:
    """A running child.

    Args:
        keys: int64 `(n,)`, rising: the frames to decode, as pts or positions in one pass; None for a probe.
        pool_fd: the frame pool's file; None for a probe.
        copy_fd: of a `GrowingCopy` that a probe's child reads itself; None where it is sent the bytes.
        interrupted: `Stopping` is raised once it is set.
        on_tick: called for every tick of the child.
        rest_s: for how long the child is to be stopped after so many seconds of work; it gives way to others.

    Raises:
        DecoderUnavailable: the child could not be started.
    """

    def __init__(
        self,
        source: ByteSource,
        request: DecodeRequest,
        *,
        keys: Int64s | None = None,
        pool_fd: int | None = None,
        copy_fd: int | None = None,
        interrupted: threading.Event | None = None,
        on_tick: Callable[[], None] | None = None,
        rest_s: Callable[[float], float] | None = None,
    ) -> None:
        self._request = request
        self._limits = request.limits
        self._interrupted = interrupted
        self._on_tick = on_tick
        self._rest_s = rest_s
        self._has_answered = False
        self._has_pid = False
        self._ticks = 0
        self._started_at_s = self._answered_at_s = self._returned_at_s = self._woken_at_s = time.monotonic()
        self._job, job_theirs = socket.socketpair()
        self._status, status_theirs = socket.socketpair()
        bytes_ours, bytes_theirs = socket.socketpair()
        self._stderr, stderr_theirs = os.pipe()
        os.set_blocking(stderr_theirs, False)  # a child that writes too much loses lines, not time
        os.set_blocking(self._stderr, False)
        self._job.settimeout(RECORD_TIMEOUT_S)
        self._server = ByteServer(source, bytes_ours, has_copy=copy_fd is not None)
        self._poll = select.poll()
        self._poll.register(self._job, select.POLLIN)
        theirs = [job_theirs.fileno(), bytes_theirs.fileno(), status_theirs.fileno(), stderr_theirs]
        theirs += [fd for fd in (pool_fd, copy_fd) if fd is not None]
        try:
            with job_theirs, status_theirs, bytes_theirs:
                try:
                    self._zygote = zygote_client.submit(theirs)
                finally:
                    os.close(stderr_theirs)
            with contextlib.suppress(OSError):  # it died already: the first `receive` raises why
                wire.send(self._job, RecordKind.REQUEST, request.to_bytes())
                if keys is not None:
                    wire.send_in_pieces(self._job, RecordKind.KEYS, keys.astype("<i8").tobytes(), 8)
                wire.send(self._job, RecordKind.KEYS)
            self._server.start()
        except BaseException:
            bytes_ours.close()
            self._close_all()
            raise

    def receive(self) -> tuple[RecordKind, bytes]:
        """Receive the next record that is not a tick.

        Raises:
            Stopping: `interrupted` was set.
            VideoRejected: a probe rejected the video.
            DecodeFailed: the child crashed, hung, reported a failure, or broke the protocol.
            DecoderKilled: it was killed from outside.
            DecoderUnavailable: its zygote ended.
            Exception: what `source.read_at` raised, unchanged.
        """
        received_at_s = time.monotonic()
        self._answered_at_s += received_at_s - self._returned_at_s  # the caller's own time is not the child's
        while True:
            if self._interrupted is not None and self._interrupted.is_set():
                raise Stopping
            if self._server.error is not None:
                raise self._server.error
            received_at_s += self._rest()
            if not self._poll.poll(POLL_S * 1000):
                quiet_s = time.monotonic() - max(received_at_s, self._server.progress_at_s)
                if quiet_s > self._limits.stall_s and not self._server.reading:
                    raise DecodeFailed(
                        f"The video decoder sent nothing for {self._limits.stall_s:g} s and was stopped."
                    )
                continue
            try:
                kind, payload = wire.receive(self._job)
            except ConnectionError:  # `wire.Closed` is one
                self._raise_exit_reason()
            except (ValueError, TimeoutError) as error:
                raise protocol_error(str(error)) from error
            received_at_s = time.monotonic()
            self._has_answered = True
            if kind is RecordKind.REJECT:
                raise VideoRejected(payload.decode("utf-8", "replace")[:500])
            if kind is RecordKind.FAIL:
                raise DecodeFailed(f"The video decoder failed: {payload.decode('utf-8', 'replace')[:500]}")
            if kind is not RecordKind.TICK:
                self._answered_at_s = self._returned_at_s = received_at_s
                return kind, payload
            self._handle_tick(received_at_s)

    def send(self, kind: RecordKind, payload: bytes) -> None:
        """Send the child a record. That it ended meanwhile is for the next `receive` to raise."""
        with contextlib.suppress(OSError):
            wire.send(self._job, kind, payload)

    def release(self, slot: int) -> None:
        """Return a slot to the child."""
        with contextlib.suppress(OSError):  # it ended: the next `receive` raises that
            self._job.sendall(bytes([slot]))

    def close(self) -> None:
        """Kill the child, wait for its end, and close everything."""
        self._kill()
        self._wait_status()
        self._close_all()
        if self._server.is_alive():
            # Waits for a read in progress, except when this process is stopping.
            stopping = self._interrupted is not None and self._interrupted.is_set()
            self._server.join(POLL_S if stopping else None)

    def __enter__(self) -> DecoderProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rest(self) -> float:
        """Stop the child for a while where that is due. Returns for how long, which is not the child's time."""
        begun_s = time.monotonic()
        worked_s = begun_s - self._woken_at_s
        if self._rest_s is None or worked_s < POLL_S:
            return 0.0
        rest_s = self._rest_s(worked_s)
        if rest_s:
            self._tell(wire.STOP)
            (self._interrupted or threading.Event()).wait(rest_s)
            self._tell(wire.GO_ON)
        self._woken_at_s = time.monotonic()
        self._answered_at_s += self._woken_at_s - begun_s
        return self._woken_at_s - begun_s

    def _handle_tick(self, now_s: float) -> None:
        """Limit ticks: a compromised child could send them for ever."""
        self._ticks += 1
        if self._ticks > MAX_TICKS + MAX_TICKS_PER_S * (now_s - self._started_at_s):
            raise protocol_error("it sent ticks too often")
        if now_s - self._answered_at_s > WALL_PER_CPU_LIMIT * self._limits.cpu_s:
            raise protocol_error("it sent nothing but ticks for too long")
        if self._on_tick is not None:
            self._on_tick()

    def _kill(self) -> None:
        self._tell(wire.KILL)

    def _tell(self, byte: bytes) -> None:
        """Tell the zygote what to do with the child."""
        with contextlib.suppress(OSError):
            self._status.sendall(byte)

    def _raise_exit_reason(self) -> NoReturn:
        status = self._wait_status(END_WAIT_S)
        lives_on = status is None
        if lives_on:  # it only closed the socket
            self._kill()
            status = self._wait_status()
        if self._server.error is not None:
            raise self._server.error
        stderr_line = zygote_client.last_line(self._read_stderr())
        failure = DecodeFailed
        if status is None:
            failure = DecoderUnavailable
            reason, stderr_line = "its zygote process ended", stderr_line or self._zygote.last_stderr_line()
        elif os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number in (signal.SIGPROF, signal.SIGXCPU):
                self._raise_too_slow(number)
            reason = f"killed by {signal_name(number)}"
            if number in KILLED_FROM_OUTSIDE and not lives_on:
                failure = DecoderKilled
        else:
            reason = f"exit status {os.WEXITSTATUS(status)}"
        detail = f": {stderr_line}" if stderr_line else "."
        raise failure(f"The video decoder stopped unexpectedly ({reason}){detail}")

    def _raise_too_slow(self, number: int) -> NoReturn:
        """Raise for a CPU limit; a probe rejects the video.

        The cause is the file and not a busy machine: the kernel counts the child's own CPU time.
        """
        is_total = number == signal.SIGXCPU
        limit_s = self._limits.cpu_s if is_total else self._limits.max_cpu_s_per_frame
        used = f"more than {limit_s:g} s of CPU time"
        if self._request.kind is not RequestKind.PROBE:
            on = "" if is_total else " on one frame"
            raise DecodeFailed(f"The video decoder was stopped: it used {used}{on}.")
        if is_total:
            raise VideoRejected(f"Reading this video takes {used}; cut it into shorter ones.")
        where = "One frame" if self._has_answered else "The header"
        raise VideoRejected(f"{where} of this video takes {used}; export it again as H.264 MP4.")

    def _wait_status(self, timeout_s: float = KILL_WAIT_S) -> int | None:
        """The child's wait status, or None if the zygote does not send it in time."""
        self._status.settimeout(timeout_s)
        try:
            if not self._has_pid:
                wire.receive_exactly(self._status, wire.STATUS.size)
                self._has_pid = True
            return int(wire.STATUS.unpack(wire.receive_exactly(self._status, wire.STATUS.size))[0])
        except OSError:
            return None

    def _read_stderr(self) -> bytes:
        try:
            return os.read(self._stderr, 1 << 16)
        except OSError:
            return b""

    def _close_all(self) -> None:
        self._job.close()
        self._status.close()
        os.close(self._stderr)


def signal_name(number: int) -> str:
    """A signal's name, for a message."""
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have none
        return f"signal {number}"


def protocol_error(what: str) -> DecodeFailed:
    """The error for a child that sent something invalid."""
    return DecodeFailed(f"The video decoder sent invalid data and was stopped: {what}")
