"""Weights in the object store: whoever requests a run uploads them, and a worker that lacks them downloads them.

Their key is their SHA-256, which the run's model names and which is checked each time they are loaded, so a run cannot
get other weights, whatever the object holds.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.core.files import replacing
from pipeline.core.object_keys import weights_key
from pipeline.core.progress import SILENT, Progress
from pipeline.errors import InvalidWeights, UsageError
from pipeline.inference.catalogue import is_bundled_sha256
from pipeline.inference.weights.checksums import sha256_of
from pipeline.inference.zoo import FoundModel, find_weights
from pipeline.services.system import System
from pipeline.storage.store_errors import ObjectMissing


def store_weights(system: System, found: FoundModel, progress: Progress = SILENT) -> None:
    """Upload a model's weights to the object store, unless they are there already or bundled with Poseline.

    Raises:
        ServiceUnavailable: the object store does not answer.
        UsageError: a file changed since the model was found.
    """
    for sha256, path in found.paths.items():
        if is_bundled_sha256(sha256) or _is_stored(system, sha256):
            continue
        size_mb = path.stat().st_size / 1e6
        progress.step(f"uploading the weights of {found.spec.name} to the object store ({size_mb:.0f} MB)")
        if sha256_of(path) != sha256:
            raise UsageError(f"{path} changed since it was read (SHA-256 was {sha256[:12]}); fetch it again")
        system.store.put_file(path, weights_key(sha256), content_type="application/octet-stream")


def locate_weights(system: System, sha256: str) -> Path:
    """Find the file with that SHA-256 on this machine, or download it from the object store once.

    `load_model` checks its bytes.

    Raises:
        InvalidWeights: it is in neither place, or the object holds other bytes.
        ServiceUnavailable: the object store does not answer.
    """
    here = find_weights(sha256, system.settings.models_path)
    if here is not None:
        return here
    folder = system.settings.home / "weights"
    path = folder / f"{sha256}.onnx"
    try:
        if not (path.is_file() and sha256_of(path) == sha256):
            _download(system, sha256, path)
    except OSError as error:
        raise InvalidWeights(f"weights cannot be stored in {folder} ({error}); set POSELINE_HOME") from error
    return path


def _download(system: System, sha256: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as [part]:
            with part.open("xb") as file:
                system.store.download(weights_key(sha256), file)
                file.flush()
                os.fsync(file.fileno())
            if sha256_of(part) != sha256:
                raise InvalidWeights(
                    f"the object {weights_key(sha256)} has another SHA-256 than its name says; remove it and request "
                    "the run again"
                )
    except ObjectMissing as error:
        raise InvalidWeights(
            f"weights {sha256[:12]} are neither on this machine nor in the object store; fetch the model on the "
            "machine that requested the run, and request it again"
        ) from error


def _is_stored(system: System, sha256: str) -> bool:
    try:
        system.store.head(weights_key(sha256))
    except ObjectMissing:
        return False
    return True
