"""Models by name: which are on this machine, and how they are loaded.

A name is one of the catalogue's (`rtmo-s`), or the path of an ONNX file with RTMO's contract, either with `@bf16` or
`@fp16` behind it for reduced precision. Weights are pinned by SHA-256: the bundled model's stands in the catalogue, a
fetched one's is recorded when it first arrives, and a load that finds other weights is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from pipeline.core.model_spec import ModelSpec
from pipeline.core.precision import Precision
from pipeline.errors import InvalidWeights, UnknownModel, UsageError
from pipeline.inference.catalogue import ENTRIES, Entry, find_entry, is_bundled_sha256
from pipeline.inference.custom_models import describe
from pipeline.inference.weights.checksums import CHECKSUMS_FILE, read_checksums, sha256_of
from pipeline.inference.weights.pins import check_pin

if TYPE_CHECKING:
    from pipeline.inference.engines.placement import Placement
    from pipeline.inference.pose_model import PoseModel


@dataclass(frozen=True)
class ModelState:
    """A known model.

    Args:
        spec: what it is with the weights on this machine; None where one is not here.
        weights_bytes: of each of its files, by name; empty where one is not here.
    """

    entry: Entry
    spec: ModelSpec | None
    weights_bytes: Mapping[str, int]

    @property
    def is_local(self) -> bool:
        """Whether all its weights are on this machine."""
        return self.spec is not None

    @property
    def name(self) -> str:
        return self.entry.name


@dataclass(frozen=True)
class FoundModel:
    """A model whose weights are on this machine; `load_model` checks them.

    Args:
        paths: of the files of its networks, by SHA-256.
    """

    spec: ModelSpec
    paths: Mapping[str, Path]

    @property
    def path(self) -> Path:
        """The file that gives keypoints."""
        return self.paths[self.spec.pose.weights_sha256]


def list_models(models_path: Path) -> list[ModelState]:
    """Every known model, the bundled one first.

    Raises:
        InvalidWeights: the recorded checksums cannot be read.
    """
    recorded = read_checksums(models_path)
    states = []
    for entry in ENTRIES.values():
        sha256s = {w.name: w.sha256 or recorded.get(w.name, "") for w in entry.weights}
        found = ((w.name, _size_of(w.file_in(models_path))) for w in entry.weights if sha256s[w.name])
        sizes = {name: size for name, size in found if size is not None}
        is_here = len(sizes) == len(entry.weights)
        spec = _spec_with(entry, sha256s, models_path) if is_here else None
        states.append(ModelState(entry, spec, sizes if is_here else {}))
    return states


def _size_of(path: Path) -> int | None:
    """The bytes of a file; None where there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def find_model(name: str, models_path: Path, pins_path: Path | None = None) -> FoundModel:
    """The model called `name`, without reading its weights, but for a file of the user's.

    Args:
        pins_path: the team's pins, see `pins.py`.

    Raises:
        UnknownModel: there is none of this name.
        InvalidWeights: it is not on this machine, or its checksum is not; or the team has pinned other weights.
        UsageError: the pins cannot be read.
    """
    name, precision = split_precision(name)
    if name.endswith(".onnx"):
        path = Path(name)
        spec = describe(path, precision)
        return FoundModel(spec, {spec.pose.weights_sha256: path})
    entry = find_entry(name)
    recorded = {} if entry.is_bundled else read_checksums(models_path)
    sha256s, paths = {}, {}
    for weights in entry.weights:
        path = weights.file_in(models_path)
        sha256 = weights.sha256 or recorded.get(weights.name)
        if not path.is_file():
            raise InvalidWeights(entry.with_fix(f"{entry.name} is not on this machine"))
        if sha256 is None:
            raise InvalidWeights(entry.with_fix(f"{path} has no checksum in {CHECKSUMS_FILE}"))
        if pins_path is not None:
            if not pins_path.is_file():
                raise UsageError(f"there are no pins at {pins_path}; `poseline models fetch --pins` writes them")
            check_pin(pins_path, weights.name, sha256, str(path))
        sha256s[weights.name], paths[sha256] = sha256, path
    return FoundModel(_spec_with(entry, sha256s, models_path, precision), paths)


def _spec_with(entry: Entry, sha256s: Mapping[str, str], models_path: Path, precision: Precision = "fp32") -> ModelSpec:
    """
    Raises:
        InvalidWeights: a checksum is none.
    """
    try:
        return entry.spec(sha256s, precision)
    except ValueError as error:
        raise InvalidWeights(
            f"{models_path / CHECKSUMS_FILE} holds no SHA-256 for {entry.name}; remove it and fetch the model again"
        ) from error


def require_known(name: str) -> None:
    """
    Raises:
        UnknownModel: there is no model or file of this name.
    """
    name, _ = split_precision(name)
    if not name.endswith(".onnx"):
        find_entry(name)
    elif not Path(name).is_file():
        raise UnknownModel(f"there is no file {name}; check the path")


def find_weights(sha256: str, models_path: Path) -> Path | None:
    """The file of this machine that is recorded with that SHA-256, whatever its name; its bytes are not read."""
    recorded = {} if is_bundled_sha256(sha256) else read_checksums(models_path)
    for entry in ENTRIES.values():
        for weights in entry.weights:
            if sha256 == (weights.sha256 or recorded.get(weights.name)):
                path = weights.file_in(models_path)
                return path if path.is_file() else None
    return None


def split_precision(name: str) -> tuple[str, Precision]:
    """`rtmo-s@bf16` as `rtmo-s` and `bf16`.

    Raises:
        UnknownModel: what stands behind the @ is no precision.
    """
    model, at, precision = name.rpartition("@")
    if not at or name.endswith(".onnx"):
        return name, "fp32"
    if precision not in get_args(Precision):
        raise UnknownModel(f"{name}: there is no precision {precision!r}; there are {', '.join(get_args(Precision))}")
    return model, cast("Precision", precision)


def load_model(found: FoundModel, placement: Placement) -> PoseModel:
    """The model, ready to detect, after the checksums of its weights were checked.

    Raises:
        InvalidWeights: the weights changed, or do not follow their contract.
        DeviceUnavailable: the device is not there, or cannot work at the model's precision.
    """
    for wanted, path in found.paths.items():
        try:
            sha256 = sha256_of(path)
        except OSError as error:
            raise InvalidWeights(f"{path} cannot be read ({error.strerror})") from error
        if sha256 != wanted:
            changed = f"{path} changed (SHA-256 {sha256[:12]}, not {wanted[:12]})"
            entry = ENTRIES.get(found.spec.name)
            raise InvalidWeights(entry.with_fix(changed) if entry else f"{changed}; put it back")
    # onnxruntime, OpenCV and rtmlib take 0.2 s to import, and naming models needs none of them.
    from pipeline.inference.pose_model import build_model  # noqa: PLC0415

    return build_model(found.spec, lambda network: found.paths[network.weights_sha256], placement)
