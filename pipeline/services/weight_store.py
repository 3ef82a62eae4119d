"""Weights go where the work is: who asks for a run puts them in the store, and a worker without them gets them there.

They are kept by their SHA-256, which the run's model names and which is checked each time they are loaded: no name, and
nothing that the store was made to hold, can bring other weights into a run.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipeline.core.progress import SILENT, Progress
from pipeline.errors import InvalidWeights, UsageError
from pipeline.inference.catalogue import comes_with_poseline
from pipeline.inference.weights.checksums import sha256_of
from pipeline.inference.zoo import FoundModel, find_weights
from pipeline.services.system import System
from pipeline.storage.objects import ObjectMissing

PREFIX = "models/"


def keep_weights(system: System, found: FoundModel, progress: Progress = SILENT) -> None:
    """Put a model's weights in the store, where they are not there yet and do not come with Poseline itself.

    Raises:
        ServiceUnavailable: the store does not answer.
        UsageError: a file is not what it was when the model was found.
    """
    for sha256, path in found.paths.items():
        if comes_with_poseline(sha256) or _is_kept(system, sha256):
            continue
        size_mb = path.stat().st_size / 1e6
        progress.step(f"uploading the weights of {found.spec.name} to the object store ({size_mb:.0f} MB)")
        if sha256_of(path) != sha256:
            raise UsageError(f"{path} is not what it was (SHA-256 {sha256[:12]}); fetch it again")
        system.store.put_file(path, _key(sha256), content_type="application/octet-stream")


def locate_weights(system: System, sha256: str) -> Path:
    """The file with that SHA-256: of this machine, whose bytes are not checked here, or fetched from the store, once.

    Raises:
        InvalidWeights: it is neither here nor there, or the store holds something else.
        ServiceUnavailable: the store does not answer.
    """
    here = find_weights(sha256, system.settings.models_path)
    if here is not None:
        return here
    folder = system.settings.home / "weights"
    path = folder / f"{sha256}.onnx"
    try:
        if not (path.is_file() and sha256_of(path) == sha256):
            _bring(system, sha256, path)
    except OSError as error:
        raise InvalidWeights(f"weights cannot be kept in {folder} ({error}); set POSELINE_HOME") from error
    return path


def _bring(system: System, sha256: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            system.store.download(_key(sha256), file)
            file.flush()
            os.fsync(file.fileno())
        if sha256_of(Path(name)) != sha256:
            raise InvalidWeights(
                f"the store's {_key(sha256)} is not what its name says; remove it there and ask for the run again"
            )
        Path(name).replace(path)
    except ObjectMissing as error:
        raise InvalidWeights(
            f"weights {sha256[:12]} are neither on this machine nor in the store; fetch the model where the run was "
            "asked for, and ask again"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _is_kept(system: System, sha256: str) -> bool:
    try:
        system.store.head(_key(sha256))
    except ObjectMissing:
        return False
    return True


def _key(sha256: str) -> str:
    return f"{PREFIX}{sha256}.onnx"
