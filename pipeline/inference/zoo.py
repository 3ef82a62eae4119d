"""Models by name: which are on this machine, how they are loaded, and how the others are fetched.

Weights are pinned by SHA-256: the bundled model's stands in the catalogue, a fetched one's is recorded when it first
arrives, and a load or a later fetch that finds other weights is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ModelUnusable, ServiceUnavailable
from pipeline.inference.catalogue import BUNDLED_MODEL, ENTRIES, PUBLISHER_PREFIXES, Entry, find_entry
from pipeline.inference.checksums import CHECKSUMS_FILE, only_writer, read_checksums, sha256_of, write_checksums
from pipeline.inference.downloads import OnProgress, download, unpack_only
from pipeline.inference.spec import ModelSpec

if TYPE_CHECKING:
    from pipeline.inference.rtmo import RtmoModel
    from pipeline.inference.sessions import Device

_ZIP_MEMBER = "end2end.onnx"


@dataclass(frozen=True)
class ModelState:
    """A known model, and where its weights are on this machine, if they are."""

    entry: Entry
    path: Path | None

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def is_here(self) -> bool:
        return self.path is not None


@dataclass(frozen=True)
class FoundModel:
    """A model whose weights are on this machine; `load_model` checks them."""

    spec: ModelSpec
    path: Path


def list_models(models_path: Path) -> list[ModelState]:
    """Every known model, the bundled one first.

    Raises:
        ModelUnusable: the recorded checksums cannot be read.
    """
    recorded = read_checksums(models_path)
    states = []
    for entry in ENTRIES.values():
        path = entry.file_in(models_path)
        usable = path.is_file() and (entry.weights_sha256 or recorded.get(entry.name))
        states.append(ModelState(entry, path if usable else None))
    return states


def find_model(name: str, models_path: Path) -> FoundModel:
    """The model called `name`, without reading its weights.

    Raises:
        UnknownModel: there is none of this name.
        ModelUnusable: it is not on this machine, or its checksum is not.
    """
    entry = find_entry(name)
    path = entry.file_in(models_path)
    sha256 = entry.weights_sha256 or read_checksums(models_path).get(name)
    if not path.is_file():
        raise ModelUnusable(entry.with_mend(f"{name} is not on this machine"))
    if sha256 is None:
        raise ModelUnusable(entry.with_mend(f"{path} has no checksum in {CHECKSUMS_FILE}"))
    return FoundModel(_spec(entry, sha256, models_path), path)


def load_model(found: FoundModel, device: Device, threads: int = 1) -> RtmoModel:
    """The model, ready to detect, after its weights' checksum was checked.

    Raises:
        ModelUnusable: the weights changed, or do not follow RTMO's contract.
        DeviceUnavailable: `cuda` was asked for and is not there.
    """
    try:
        sha256 = sha256_of(found.path)
    except OSError as error:
        raise ModelUnusable(f"{found.path} cannot be read ({error.strerror})") from error
    if sha256 != found.spec.weights_sha256:
        changed = f"{found.path} changed (SHA-256 {sha256[:12]}, not {found.spec.weights_sha256[:12]})"
        raise ModelUnusable(find_entry(found.spec.name).with_mend(changed))
    return _load(found, device, threads)


def fetch_model(
    name: str, models_path: Path, on_progress: OnProgress | None = None, mirror: str | None = None
) -> FoundModel:
    """The model called `name`, downloaded if it is not here yet. Many processes may ask at once; one downloads.

    Args:
        on_progress: called with bytes so far and bytes in all (None where the server does not say).
        mirror: a prefix to use in place of the publisher's, with the publisher's paths below it.

    Raises:
        UnknownModel: there is none of this name.
        ServiceUnavailable: there is no way to the publisher, or it broke off.
        ModelUnusable: what came is no model, or not the one that was recorded under this name.
        UsageError: the mirror is neither https nor loopback.
    """
    entry = find_entry(name)
    if entry.zip_path is None:
        return find_model(name, models_path)
    try:
        # Without the lock first: a folder of models may be read-only.
        if not _is_intact(entry, models_path):
            with only_writer(models_path):
                if not _is_intact(entry, models_path):
                    _fetch(entry, models_path, on_progress, mirror)
    except OSError as error:
        raise ModelUnusable(f"{models_path} cannot be used for models ({error}); set POSELINE_MODELS_DIR") from error
    return find_model(name, models_path)


def _is_intact(entry: Entry, models_path: Path) -> bool:
    path = entry.file_in(models_path)
    return path.is_file() and sha256_of(path) == read_checksums(models_path).get(entry.name)


def _fetch(entry: Entry, models_path: Path, on_progress: OnProgress | None, mirror: str | None) -> None:
    archive = _download_from_any(entry, models_path, on_progress, mirror)
    try:
        unpacked, sha256 = unpack_only(archive, _ZIP_MEMBER, models_path)
    finally:
        archive.unlink()
    try:
        recorded = read_checksums(models_path)
        if recorded.get(entry.name, sha256) != sha256:
            raise ModelUnusable(
                f"{entry.name} is not what it was when it was first fetched (SHA-256 {sha256[:12]}, not "
                f"{recorded[entry.name][:12]}): nothing was changed; if you trust the new weights, remove "
                f"{entry.name} from {models_path / CHECKSUMS_FILE} and fetch again"
            )
        _load(FoundModel(entry.spec(sha256), unpacked), "cpu", 1)  # what cannot be loaded must not be pinned
        # The checksum first: if this process dies in between, a file that is missing is fetched again and held
        # against it, where a file without a checksum could not be trusted.
        write_checksums(models_path, recorded | {entry.name: sha256})
        unpacked.chmod(0o644)
        unpacked.rename(entry.file_in(models_path))
    finally:
        unpacked.unlink(missing_ok=True)


def _download_from_any(entry: Entry, folder: Path, on_progress: OnProgress | None, mirror: str | None) -> Path:
    failures = []
    for prefix in PUBLISHER_PREFIXES if mirror is None else (mirror.rstrip("/") + "/",):
        try:
            return download(f"{prefix}{entry.zip_path}", folder, on_progress)
        except ServiceUnavailable as error:
            failures.append(error.message)
    raise ServiceUnavailable(
        f"{entry.name} cannot be fetched: {'; '.join(failures)}. Check the network, or name a mirror; "
        f"{BUNDLED_MODEL} works offline"
    )


def _spec(entry: Entry, sha256: str, models_path: Path) -> ModelSpec:
    try:
        return entry.spec(sha256)
    except ValueError as error:
        raise ModelUnusable(
            f"{models_path / CHECKSUMS_FILE} holds no SHA-256 for {entry.name}; remove it and fetch the model again"
        ) from error


def _load(found: FoundModel, device: Device, threads: int) -> RtmoModel:
    # onnxruntime, OpenCV and rtmlib take 0.2 s to import, and naming models needs none of them.
    from pipeline.inference.rtmo import RtmoModel  # noqa: PLC0415
    from pipeline.inference.sessions import build_session  # noqa: PLC0415

    session = build_session(found.path, device, threads)
    want_px, got_px = found.spec.input_side_px, session.input_side_px
    if got_px != want_px:
        raise ModelUnusable(f"{found.spec.name} should take {want_px} px, but its file takes {got_px} px")
    return RtmoModel(session, found.spec)
