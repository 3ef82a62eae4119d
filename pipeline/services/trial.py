"""Try a suspect alone: its chunk is analysed in a process of its own, so that it can take nobody with it.

The process is started anew and not forked: a copy of a model session or of a GPU's context must not be used. It has no
lease and commits nothing: it reports to this process, which renews the lease, writes the outcome down, and commits. It
ends with the thread that started it. The kernel prefers it where memory runs out.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from enum import IntEnum
from struct import Struct
from typing import Any, BinaryIO, NoReturn

from pipeline import errors
from pipeline.db.chunks import ClaimedChunk
from pipeline.db.frames import FrameSpool
from pipeline.errors import DeviceLost, DeviceUnavailable, PoselineError, Stopping, TrialCrashed, TrialKilled
from pipeline.inference.engines.placement import Placement
from pipeline.logs import get_logger
from pipeline.services.chunk_poses import LONGEST_LOAD_S
from pipeline.services.lease_heartbeat import LeaseHeartbeat
from pipeline.services.system import System
from pipeline.settings import Settings
from pipeline.video.decoder_process import KILLED_FROM_OUTSIDE, signal_name

log = get_logger(__name__)

_MODULE = "pipeline.services.trial_process"
_POLL_S = 0.25
#: Of a record: its kind, and how many bytes follow.
HEAD = Struct("!BI")


class Record(IntEnum):
    """What the process reports."""

    LOADED = 1  #: the model; nothing follows
    ALIVE = 2
    FRAME = 3  #: one more is analysed
    PIECE = 4  #: encoded frames
    DONE = 5  #: JSON: frames, people, computed_with
    FAILED = 6  #: JSON: the error's class, message and errno


def try_alone(
    spool: FrameSpool, system: System, placement: Placement, claimed: ClaimedChunk, heartbeat: LeaseHeartbeat
) -> str:
    """Add the poses of the chunk's frames to the spool, found by a process of its own. Returns as `find_poses` does.

    Raises:
        TrialCrashed: that process crashed.
        TrialKilled: it was killed from outside, or by the kernel for want of memory.
        Stopping: this process shuts down, or the lease was lost.
        DeviceUnavailable: it could not use the device, which may be of use to this process.
        Exception: what stopped it, as if it had been raised here.
    """
    log.warning("chunk_tried_alone", deaths=claimed.lease.deaths, errors=claimed.lease.errors)
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb", buffering=0) as reports:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(os.getpid()), str(theirs)],
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=[theirs],
            )
        finally:
            os.close(theirs)
        with process:
            try:
                assert process.stdin is not None
                with suppress(BrokenPipeError), process.stdin as stdin:
                    stdin.write(_request(system.settings, placement, claimed))
                with heartbeat.assume_alive(LONGEST_LOAD_S):
                    kind, payload = _receive(reports, process, heartbeat)
                while kind is not Record.DONE:
                    if kind is Record.FRAME:
                        heartbeat.advance()
                    elif kind is Record.PIECE:
                        spool.add_encoded(payload)
                    elif kind is Record.FAILED:
                        _raise(json.loads(payload))
                    else:
                        heartbeat.note_alive()
                    heartbeat.check()
                    kind, payload = _receive(reports, process, heartbeat)
            finally:
                process.kill()
    done = json.loads(payload)
    spool.frames, spool.people = int(done["frames"]), int(done["people"])
    return str(done["computed_with"])


def _request(settings: Settings, placement: Placement, claimed: ClaimedChunk) -> bytes:
    """What the process has to know, with this process's settings, as JSON."""
    request = {
        "settings": settings.handed_on(),
        "placement": asdict(placement),
        "run_id": claimed.run_id,
        "plan": asdict(claimed.plan),
        "video_id": claimed.video_id,
        "model_fingerprint": claimed.model_fingerprint,
    }
    return json.dumps(request, default=str).encode()


def _receive(reports: BinaryIO, process: subprocess.Popen[bytes], heartbeat: LeaseHeartbeat) -> tuple[Record, bytes]:
    head = _read(reports, HEAD.size, process, heartbeat)
    kind, size = HEAD.unpack(head)
    return Record(kind), _read(reports, size, process, heartbeat)


def _read(reports: BinaryIO, size: int, process: subprocess.Popen[bytes], heartbeat: LeaseHeartbeat) -> bytes:
    read = bytearray()
    while len(read) < size:
        if heartbeat.interrupted.is_set():
            raise Stopping
        if not select.select([reports], [], [], _POLL_S)[0]:
            continue
        some = reports.read(size - len(read))
        if not some:
            _raise_exit_reason(process)
        read += some
    return bytes(read)


def _raise_exit_reason(process: subprocess.Popen[bytes]) -> NoReturn:
    """Raise for a process that ended without saying how its work did."""
    code = process.wait()
    what = "the process that analysed this part of the video alone"
    if -code in KILLED_FROM_OUTSIDE:
        raise TrialKilled(f"{what} was killed by {signal_name(-code)}")
    how = f"crashed with {signal_name(-code)}" if code < 0 else f"ended with exit status {code}"
    raise TrialCrashed(f"{what} {how}; its worker's log may say more")


def _raise(failure: dict[str, Any]) -> NoReturn:
    """Raise what the process caught."""
    found = getattr(errors, failure["error"], None)
    if isinstance(found, type) and issubclass(found, PoselineError):
        raise (DeviceUnavailable if found is DeviceLost else found)(failure["message"])
    if failure["errno"] is not None:
        raise OSError(failure["errno"], os.strerror(failure["errno"]))
    raise PoselineError(failure["message"])
