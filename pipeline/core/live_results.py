"""What the server answers to each frame of a live session: its fate, how long each step took, and the people in it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from pipeline.core.live_protocol import MAX_MESSAGE_BYTES, BadMessage
from pipeline.core.poses import FramePoses

#: Kind, fate, keypoints, id, captured_at_ms, received_at_ms, sent_at_ms, decode_ms, wait_ms, process_ms, batch, people.
RESULT: Final = struct.Struct("<BBHIdddfffHH")
RESULT_KIND: Final = 2
#: Coordinates are counted in eighths of a pixel.
STEPS_PER_PX: Final = 8
#: Of a person without its keypoints, and of each of these.
_PERSON_BYTES, _KEYPOINT_BYTES = 9, 5
_MAX_PEOPLE_BYTES: Final = MAX_MESSAGE_BYTES // 2
_MAX_REASON_BYTES: Final = 500
_I16: Final = 2**15 - 1


class Fate(IntEnum):
    """What became of a frame that the server received."""

    ANALYSED = 0
    SUPERSEDED = 1
    FAILED = 2


@dataclass(frozen=True)
class Result:
    """What became of one frame.

    Args:
        captured_at_ms: as the frame said it, by the client's clock.
        received_at_ms, sent_at_ms: by the server's clock.
        decode_ms, wait_ms, process_ms: what these took; a frame that was not analysed has only the first ones.
        batch: frames of the device call.
        poses: of an analysed frame, in pixels of the sent picture.
        reason: of a frame that failed, one line.
    """

    id: int
    fate: Fate
    captured_at_ms: float
    received_at_ms: float
    sent_at_ms: float
    decode_ms: float = 0.0
    wait_ms: float = 0.0
    process_ms: float = 0.0
    batch: int = 0
    poses: FramePoses | None = None
    reason: str = ""

    def to_bytes(self) -> bytes:
        """The message."""
        poses = self.poses if self.poses is not None else FramePoses.empty()
        people, keypoints = poses.keypoints.shape[:2]
        people = min(people, _MAX_PEOPLE_BYTES // (_PERSON_BYTES + _KEYPOINT_BYTES * keypoints))
        head = RESULT.pack(
            RESULT_KIND,
            self.fate,
            keypoints,
            self.id,
            self.captured_at_ms,
            self.received_at_ms,
            self.sent_at_ms,
            self.decode_ms,
            self.wait_ms,
            self.process_ms,
            min(self.batch, 65535),
            people,
        )
        if self.fate is Fate.FAILED:
            return head + self.reason.encode()[:_MAX_REASON_BYTES]
        return head + b"".join(_person_bytes(poses, person) for person in range(people))

    @classmethod
    def from_bytes(cls, message: bytes) -> Result:
        """Read what `to_bytes` wrote; coordinates come back in steps of an eighth of a pixel.

        Raises:
            BadMessage: it is no result.
        """
        if len(message) < RESULT.size or message[0] != RESULT_KIND:
            raise BadMessage("a binary message of the server is a result")
        _, fate, keypoints, id_, captured, received, sent, decode, wait, process, batch, people = RESULT.unpack_from(
            message
        )
        if fate not in list(Fate):
            raise BadMessage(f"there is no fate {fate}")
        numbers = (captured, received, sent, decode, wait, process)
        if not all(map(math.isfinite, numbers)):
            raise BadMessage("a time of the result is no number")
        common = (id_, Fate(fate), *numbers, batch)
        if fate == Fate.FAILED:
            return cls(*common, reason=message[RESULT.size :].decode("utf-8", "replace"))
        return cls(*common, poses=_read_people(message, people, keypoints) if fate == Fate.ANALYSED else None)


def _person_bytes(poses: FramePoses, person: int) -> bytes:
    keypoints = poses.keypoints[person]
    places = _steps(np.concatenate((poses.boxes_xyxy[person], keypoints[:, 0], keypoints[:, 1])))
    return _bytes255(poses.scores[person : person + 1]) + places + _bytes255(keypoints[:, 2])


def _steps(values_px: Any) -> bytes:
    finite = np.nan_to_num(values_px, nan=0.0, posinf=_I16, neginf=-_I16)
    return bytes(np.clip(np.rint(finite * STEPS_PER_PX), -_I16, _I16).astype("<i2").tobytes())


def _bytes255(shares: Any) -> bytes:
    return bytes(np.clip(np.rint(np.nan_to_num(shares) * 255), 0, 255).astype(np.uint8).tobytes())


def _read_people(message: bytes, people: int, keypoints: int) -> FramePoses:
    size = _PERSON_BYTES + _KEYPOINT_BYTES * keypoints
    if len(message) != RESULT.size + people * size:
        raise BadMessage("the result has not the length of its people")
    rows = np.frombuffer(message, np.uint8, offset=RESULT.size).reshape(people, size)
    places = np.ascontiguousarray(rows[:, 1 : 9 + 4 * keypoints]).view("<i2") / STEPS_PER_PX
    found = np.empty((people, keypoints, 3), np.float32)
    found[..., 0] = places[:, 4 : 4 + keypoints]
    found[..., 1] = places[:, 4 + keypoints :]
    found[..., 2] = rows[:, 9 + 4 * keypoints :] / 255
    scores = (rows[:, 0] / 255).astype(np.float32)
    return FramePoses(scores, places[:, :4].astype(np.float32), found)
