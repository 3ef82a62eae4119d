"""One decoder child as the worker sees it: started, spoken to, and gone without a trace, whatever happened."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import DecodeFailed, Stopping, VideoRejected
from pipeline.video import wire, zygote_client
from pipeline.video.byte_channel import ByteServer
from pipeline.video.source import ByteSource
from pipeline.video.wire import Kind

POLL_S = 0.1
KILL_WAIT_S = 5.0
# By so much may what a child is given in processor time take longer on a busy machine, before it counts as a lie.
IDLE_FACTOR = 4
# A record is small and sent at once; a child that stops in the middle of one is broken.
RECORD_TIMEOUT_S = 10.0
# Far more often than a child says that it is at work, which is all that it may say for as long as it likes.
MAX_TICKS = 100
MAX_TICKS_PER_S = 10


class Job:
    """A running child.

    Raises:
        DecodeFailed: it could not be started.
    """

    def __init__(
        self,
        source: ByteSource,
        limits: VideoLimits,
        *,
        interrupted: threading.Event | None = None,
        on_tick: Callable[[], None] | None = None,
        pool_fd: int | None = None,
        wanted: npt.NDArray[np.int64] | None = None,
        **spec: Any,
    ) -> None:
        self._limits = limits
        self._interrupted = interrupted
        self._on_tick = on_tick
        self._probing = pool_fd is None
        self._opened = False
        self._ticks = 0
        self._started_at_s = self._answered_at_s = time.monotonic()
        self._job, job_theirs = socket.socketpair()
        self._status, status_theirs = socket.socketpair()
        bytes_ours, bytes_theirs = socket.socketpair()
        self._stderr, stderr_theirs = os.pipe()
        os.set_blocking(stderr_theirs, False)  # a child that writes too much loses lines, not time
        os.set_blocking(self._stderr, False)
        self._job.settimeout(RECORD_TIMEOUT_S)
        self._status.settimeout(KILL_WAIT_S)
        self._server = ByteServer(source, bytes_ours)
        self._poll = select.poll()
        self._poll.register(self._job, select.POLLIN)
        theirs = [job_theirs.fileno(), bytes_theirs.fileno(), status_theirs.fileno(), stderr_theirs]
        try:
            with job_theirs, status_theirs, bytes_theirs:
                try:
                    self._zygote = zygote_client.submit(theirs if pool_fd is None else [*theirs, pool_fd])
                finally:
                    os.close(stderr_theirs)
            spec |= {"limits": asdict(limits), "size_bytes": source.size_bytes}
            with contextlib.suppress(OSError):  # it died already: the first receive says of what
                wire.send(self._job, Kind.SPEC, json.dumps(spec).encode())
                if wanted is not None:
                    wire.send_in_pieces(self._job, Kind.WANTED, wanted.astype("<i8").tobytes(), 8)
                wire.send(self._job, Kind.WANTED)
            self._server.start()
        except BaseException:
            bytes_ours.close()
            self._close_all()
            raise

    def receive(self) -> tuple[Kind, bytes]:
        """The next record that is not a tick.

        Raises:
            Stopping: `interrupted` was set.
            VideoRejected: a probe turned the video away.
            DecodeFailed: the child crashed, hung, gave up, or broke the protocol.
            Exception: what `source.read_at` raised, unchanged.
        """
        heard_at_s = time.monotonic()
        while True:
            if self._interrupted is not None and self._interrupted.is_set():
                raise Stopping
            if self._server.error is not None:
                raise self._server.error
            if not self._poll.poll(POLL_S * 1000):
                quiet_s = time.monotonic() - max(heard_at_s, self._server.progress_at_s)
                if quiet_s > self._limits.stall_s and not self._server.reading:
                    raise DecodeFailed(
                        f"The video decoder gave nothing for {self._limits.stall_s:g} s and was stopped."
                    )
                continue
            try:
                kind, payload = wire.receive(self._job)
            except (wire.Closed, ConnectionError):
                self._raise_why_it_ended()
            except (ValueError, TimeoutError) as error:
                raise protocol_broken(str(error)) from error
            heard_at_s = time.monotonic()
            self._opened = True
            if kind is Kind.REJECT:
                raise VideoRejected(payload.decode("utf-8", "replace")[:500])
            if kind is Kind.FAIL:
                raise DecodeFailed(f"The video decoder gave up: {payload.decode('utf-8', 'replace')[:500]}")
            if kind is not Kind.TICK:
                self._answered_at_s = heard_at_s
                return kind, payload
            self._heed_tick(heard_at_s)

    def release(self, slot: int) -> None:
        """Give a slot back to the child."""
        with contextlib.suppress(OSError):  # it ended: the next receive says so
            self._job.sendall(bytes([slot]))

    def close(self) -> None:
        """Kill the child, wait until it is gone, and give everything back."""
        self._kill()
        self._wait_status()
        self._close_all()
        if self._server.is_alive():
            # Waits for a read that is under way, but not when the process wants to end.
            stopping = self._interrupted is not None and self._interrupted.is_set()
            self._server.join(POLL_S if stopping else None)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _heed_tick(self, now_s: float) -> None:
        """Count a sign of work; too many, or nothing else for too long, is a child that lies."""
        self._ticks += 1
        if self._ticks > MAX_TICKS + MAX_TICKS_PER_S * (now_s - self._started_at_s):
            raise protocol_broken("it says all the time that it is at work")
        if now_s - self._answered_at_s > IDLE_FACTOR * self._limits.cpu_s:
            raise protocol_broken("it says for a day that it is at work")
        if self._on_tick is not None:
            self._on_tick()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            self._status.sendall(b"K")

    def _raise_why_it_ended(self) -> NoReturn:
        self._kill()  # it may only have hung up; of one that has ended it changes nothing
        status = self._wait_status()
        if self._server.error is not None:
            raise self._server.error
        words = zygote_client.last_line(self._read_stderr())
        if status is None:
            reason, words = "its keeper process ended", words or self._zygote.last_words()
        elif os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number in (signal.SIGPROF, signal.SIGXCPU):
                self._raise_too_slow(number)
            reason = f"killed by {_signal_name(number)}"
        else:
            reason = f"exit status {os.WEXITSTATUS(status)}"
        raise DecodeFailed(f"The video decoder broke off ({reason})" + (f": {words}" if words else "."))

    def _raise_too_slow(self, number: int) -> NoReturn:
        """What makes a decoder work so long is in the file: a probe turns it away, other jobs fail.

        The kernel counted the child's own processor time, so a machine that is busy is no excuse.
        """
        whole = number == signal.SIGXCPU
        limit_s = self._limits.cpu_s if whole else self._limits.max_cpu_s_per_frame
        used = f"more than {limit_s:g} s of processor time"
        if not self._probing:
            on = "" if whole else " on one frame"
            raise DecodeFailed(f"The video decoder was stopped: it used {used}{on}.")
        if whole:
            raise VideoRejected(f"Reading this video takes {used}; cut it into shorter ones.")
        where = "One frame" if self._opened else "The header"
        raise VideoRejected(f"{where} of this video takes {used}; export it anew as H.264 MP4.")

    def _wait_status(self) -> int | None:
        """The wait status, or None if the zygote cannot tell."""
        try:
            wire.receive_exactly(self._status, wire.STATUS.size)  # the pid
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have none
        return f"signal {number}"


def protocol_broken(what: str) -> DecodeFailed:
    """The words for a child that says what it should not."""
    return DecodeFailed(f"The video decoder sent nonsense and was stopped: {what}")
