"""What a network must take and give, by decoder, and the network once it was checked against that.

The contracts are those of OpenMMLab's exports (mmdeploy): RTMO `dets` and `keypoints` with the NMS inside; YOLOX and
RTMDet `dets` and `labels` with the NMS inside, or YOLOX's raw rows; RTMPose `simcc_x` and `simcc_y`. The batch is
always free. Declared shapes may be left open, so a grey image is run once; given shapes are checked at every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.core.model_spec import Decoder, NetworkSpec
from pipeline.errors import InvalidOutput, InvalidWeights
from pipeline.inference.engines.sessions import INPUT_NAME, Float32s, Port, Session

#: Pixels of a SimCC bin, mmpose's `simcc_split_ratio`, as bins per pixel.
SIMCC_SPLIT = 2
#: Rows that a YOLOX without NMS gives for each cell of these strides, in pixels.
YOLOX_STRIDES = (8, 16, 32)

_TITLES: dict[Decoder, str] = {"rtmo": "RTMO", "yolox": "YOLOX", "rtmdet": "RTMDet", "simcc": "RTMPose"}
_OUTPUTS: dict[Decoder, tuple[str, ...]] = {
    "rtmo": ("dets", "keypoints"),
    "yolox": ("dets", "labels"),
    "rtmdet": ("dets", "labels"),
    "simcc": ("simcc_x", "simcc_y"),
}
#: Of the image that is run first, as the network takes it: rtmlib's padding, or the mean where it is normalised.
_GREY: dict[Decoder, float] = {"rtmo": 114, "yolox": 114, "rtmdet": 0, "simcc": 0}


class Network:
    """A session that follows the contract of its decoder.

    Args:
        path: of its file, for what is said of it.
        name: of its model; by default the file's.

    Raises:
        InvalidWeights: it does not.
    """

    def __init__(self, session: Session, spec: NetworkSpec, path: Path, name: str | None = None) -> None:
        self.session = session
        self.spec = spec
        self._path = path
        self._name = name or path.stem
        if not spec.is_current:
            raise InvalidWeights(
                f"{path} needs {spec.preprocessing} and {spec.decoding}, which this version of Poseline has not"
            )
        _check_input(path, session.inputs, spec)
        self.outputs = _choose_outputs(path, session.outputs, spec)
        #: Images of every call of the session, where another number would cost dearly: see `calibration.fix_batch`.
        self.fixed_batch: int | None = None
        self._keypoints: int | None = None
        try:
            given = self.run(self.grey(1))
        except InvalidOutput as error:
            raise InvalidWeights(error.message) from error
        self._keypoints = _keypoints_in([array.shape for array in given])

    @property
    def has_nms(self) -> bool:
        """Whether overlapping boxes are dropped inside the network."""
        return len(self.outputs) == 2

    def grey(self, count: int) -> Float32s:
        """Images without people, float32 `[count, 3, H, W]`, as the network takes them."""
        return np.full((count, 3, self.spec.height_px, self.spec.width_px), _GREY[self.spec.decoder], np.float32)

    def run(self, batch: Float32s) -> tuple[Float32s, ...]:
        """The outputs of the contract, in its order, their shapes checked.

        Args:
            batch: float32 `[n, 3, H, W]`; n at most `fixed_batch`, where that is given.

        Raises:
            InvalidWeights: the shapes are not the contract's.
            InvalidOutput: scores or boxes are not numbers.
            DeviceUnavailable: the GPU failed.
        """
        count = len(batch)
        if self.fixed_batch is not None and count < self.fixed_batch:
            batch = np.concatenate((batch, self.grey(self.fixed_batch - count)))
        given = self.session.run(batch, self.outputs)
        shape_of_each = [array.shape for array in given]
        as_before = self._keypoints is None or _keypoints_in(shape_of_each) == self._keypoints
        if not _fits(self.spec, len(batch), shape_of_each) or not as_before:
            shapes = " and ".join(f"{n} {list(a.shape)}" for n, a in zip(self.outputs, given, strict=True))
            raise InvalidWeights(
                f"{self._path} does not follow {_TITLES[self.spec.decoder]}'s contract: it gave {shapes} for "
                f"{len(batch)} images of {self.spec.width_px} x {self.spec.height_px}"
            )
        given = tuple(array[:count] for array in given)
        # A score that is not a number is below every threshold, so a broken network would look like empty frames.
        if not all(np.isfinite(array).all() for array in (given if self.spec.decoder == "simcc" else given[:1])):
            raise InvalidOutput(f"{self._name} gave scores or boxes that are not numbers; try another model")
        return given

    def require_keypoints(self, count: int) -> None:
        """Check the number of keypoints of a network.

        Raises:
            InvalidWeights: it gives another.
        """
        if self._keypoints != count:
            raise InvalidWeights(f"{self._path} gives {self._keypoints} keypoints a person, not {count}")


def input_side_px(inputs: Sequence[Port]) -> int | None:
    """The side of the square that a network takes; None where it takes something else."""
    if len(inputs) == 1 and len(inputs[0].shape) == 4:
        _, channels, height, width = inputs[0].shape
        if channels == 3 and height == width:
            return height
    return None


def _check_input(path: Path, inputs: Sequence[Port], spec: NetworkSpec) -> None:
    if len(inputs) == 1 and inputs[0].name == INPUT_NAME and inputs[0].is_float32 and len(inputs[0].shape) == 4:
        batch, channels, height, width = inputs[0].shape
        # Detectors are given one image at a time, and some were exported for just that.
        batch_fits = batch is None or (batch == 1 and spec.decoder in {"yolox", "rtmdet"})
        if batch_fits and channels == 3 and height in {None, spec.height_px} and width in {None, spec.width_px}:
            return
    raise InvalidWeights(
        f"{path} does not follow {_TITLES[spec.decoder]}'s contract: it takes {', '.join(map(str, inputs))}, not one "
        f"`{INPUT_NAME}` of float32 [batch, 3, {spec.height_px}, {spec.width_px}] with a free batch"
    )


def _choose_outputs(path: Path, outputs: Sequence[Port], spec: NetworkSpec) -> tuple[str, ...]:
    names, wanted = {port.name for port in outputs}, _OUTPUTS[spec.decoder]
    if set(wanted) <= names:
        return wanted
    if spec.decoder in {"yolox", "rtmdet"} and len(outputs) == 1:
        return (outputs[0].name,)
    raise InvalidWeights(
        f"{path} does not follow {_TITLES[spec.decoder]}'s contract: it gives {', '.join(sorted(names))}, "
        f"not {' and '.join(wanted)}"
    )


def _keypoints_in(shapes: Sequence[tuple[int, ...]]) -> int | None:
    """How many a person has in `keypoints [n, rows, k, 3]` or `simcc_x [n, k, bins]`; of no meaning for detectors."""
    match shapes:
        case [_, (_, _, count, 3)]:
            return count
        case [(_, count, _), (_, same, _)] if count == same:
            return count
        case _:
            return None


def _fits(spec: NetworkSpec, count: int, shapes: Sequence[tuple[int, ...]]) -> bool:
    match spec.decoder, shapes:
        case "simcc", [(n, k, across), (m, j, down)]:
            want = (spec.width_px * SIMCC_SPLIT, spec.height_px * SIMCC_SPLIT)
            return n == m == count and k == j > 0 and (across, down) == want
        case "rtmo", [(n, rows, 5), (m, others, _, 3)]:
            return n == m == count and rows == others
        case "yolox" | "rtmdet", [(n, rows, 5), (m, others)]:
            return n == m == count and rows == others
        case "yolox" | "rtmdet", [(n, rows, numbers)]:
            cells = sum((spec.width_px // stride) ** 2 for stride in YOLOX_STRIDES)
            return n == count and (numbers == 5 or (numbers > 5 and rows == cells))
        case _:
            return False
