"""Fetch weights from their publisher, a mirror or a folder, and refuse a file whose checksum is not the known one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import InvalidOutput, InvalidWeights, ServiceUnavailable, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL, Weights, find_entry
from pipeline.inference.weights.checksums import CHECKSUMS_FILE, read_checksums, sha256_of, write_checksums, write_lock
from pipeline.inference.weights.http_download import OnProgress, download
from pipeline.inference.weights.pins import add_pin, check_pin
from pipeline.inference.weights.resume import Partial, discard_partials, without_query
from pipeline.inference.weights.sources import PUBLISHER, LocalSource, WebSource, WeightsSource
from pipeline.inference.weights.unpacking import unpack
from pipeline.inference.zoo import split_precision


@dataclass(frozen=True)
class FetchedFile:
    """One file of weights on this machine.

    Args:
        is_first: whether its checksum was recorded now, for the first time under its name in this folder.
        is_pinned_now: whether it was added to the team's pins.
    """

    name: str
    path: Path
    sha256: str
    is_first: bool = False
    is_pinned_now: bool = False


@dataclass(frozen=True)
class _Received:
    """A file of weights as it came, not checked yet.

    Args:
        partial: the download that it is; None for a local file.
        was_begun: whether part of it is from an earlier call, so that a power cut may have damaged it.
    """

    path: Path
    where: str
    partial: Partial | None = None
    was_begun: bool = False


def needed_weights(names: Iterable[str]) -> list[Weights]:
    """List every file that these models need and that is not bundled, each once, detectors before pose networks.

    Raises:
        UnknownModel: there is none of a name.
        UsageError: a name is a file of the user's.
    """
    needed = {}
    for name in names:
        model = split_precision(name)[0]
        if model.endswith(".onnx"):
            raise UsageError(f"{model} is a file of yours: it is used where it is, without being fetched")
        needed.update({each.name: each for each in find_entry(model).weights if each.zip_path is not None})
    return list(needed.values())


@dataclass(frozen=True)
class Fetcher:
    """Fetches weights into a folder of models.

    Args:
        source: where they come from.
        pins_path: the team's pins, see `pins.py`.
        say: called with a progress line.
        pause: waits for so many seconds.
    """

    models_path: Path
    source: WeightsSource = PUBLISHER
    pins_path: Path | None = None
    say: Callable[[str], None] = lambda _line: None
    pause: Callable[[float], None] = time.sleep

    def fetch(self, weights: Weights, on_progress: OnProgress | None = None) -> FetchedFile:
        """Make a file of weights available here. Many processes may call this at once; one downloads.

        Args:
            on_progress: called with bytes so far, those of an earlier try too, and bytes in all.

        Raises:
            ServiceUnavailable: no source can be reached, or the download was interrupted; the part received is kept.
            InvalidWeights: the file is no such network, or another checksum is recorded or pinned for the name.
            UsageError: the source or the pins cannot be used.
        """
        try:
            # First without the lock: the folder of models may be read-only.
            found = self._find_local(weights)
            if found is None:
                with write_lock(self.models_path, lambda: self.say("another process fetches models; waiting for it")):
                    found = self._find_local(weights) or self._fetch(weights, on_progress)
        except OSError as error:
            raise InvalidWeights(
                f"{self.models_path} cannot be used for models ({error}); set POSELINE_MODELS_DIR"
            ) from error
        if self.pins_path is None:
            return found
        return replace(found, is_pinned_now=add_pin(self.pins_path, weights.name, found.sha256))

    def resumable_bytes(self, wanted: Iterable[Weights]) -> int:
        """How many bytes are here of interrupted downloads from this source that can be resumed."""
        partials = [partial for each in wanted for _, partial in self._partials(each)]
        return sum(begun.got_bytes for begun in map(Partial.read_state, partials) if begun is not None)

    def _find_local(self, weights: Weights) -> FetchedFile | None:
        path, recorded = weights.file_in(self.models_path), read_checksums(self.models_path).get(weights.name)
        if self.pins_path is not None:
            check_pin(self.pins_path, weights.name, recorded, str(path))
        if recorded is None or not path.is_file() or sha256_of(path) != recorded:
            return None
        return FetchedFile(weights.name, path, recorded)

    def _fetch(self, weights: Weights, on_progress: OnProgress | None) -> FetchedFile:
        while True:
            received = self._download(weights, on_progress)
            try:
                found = self._accept(weights, received)
            except InvalidWeights:
                if received.partial is not None:
                    received.partial.discard()
                if not received.was_begun:
                    raise
                self.say(f"the earlier part of {weights.name} cannot be used; fetching it from the start")
            else:
                discard_partials(self.models_path, weights.name)
                return found

    def _download(self, weights: Weights, on_progress: OnProgress | None) -> _Received:
        if isinstance(self.source, LocalSource):
            path = self.source.file_of(weights)
            return _Received(path, str(path))
        failures = []
        for url, partial in self._partials(weights):
            begun = partial.read_state()
            if begun is not None:
                self.say(f"{begun.got_bytes / 1e6:.1f} MB of {weights.name} are here already; resuming")
            try:
                download(url, partial, on_progress, self.pause)
            except ServiceUnavailable as error:
                failures.append(error.message)
            else:
                return _Received(partial.path, without_query(url), partial, begun is not None)
        kept = "; the part received is kept, and the same command resumes it" if self.resumable_bytes([weights]) else ""
        raise ServiceUnavailable(
            f"{weights.name} cannot be fetched: {'; '.join(failures)}{kept}. Check the network, or name a folder or "
            f"mirror that has it (--from SOURCE); {BUNDLED_MODEL} works offline"
        )

    def _partials(self, weights: Weights) -> Iterator[tuple[str, Partial]]:
        if isinstance(self.source, WebSource):
            for url in self.source.urls(weights):
                yield url, Partial(self.models_path, weights.name, url)

    def _accept(self, weights: Weights, received: _Received) -> FetchedFile:
        unpacked, sha256 = unpack(received.path, self.models_path, received.where)
        try:
            recorded = read_checksums(self.models_path)
            if recorded.get(weights.name, sha256) != sha256:
                raise InvalidWeights(
                    f"{weights.name} differs from the file that was first fetched (SHA-256 {sha256[:12]}, not "
                    f"{recorded[weights.name][:12]}): nothing was changed; if you trust the new weights, remove "
                    f"{weights.name} from {self.models_path / CHECKSUMS_FILE} and fetch again"
                )
            if self.pins_path is not None:
                check_pin(self.pins_path, weights.name, sha256, received.where)
            _check(weights, sha256, unpacked, received.where)  # what cannot be loaded must not be pinned
            # The checksum first: if this process dies in between, the missing file is fetched again and compared with
            # it; a file without a checksum could not be trusted.
            write_checksums(self.models_path, recorded | {weights.name: sha256})
            path = weights.file_in(self.models_path)
            unpacked.chmod(0o644)
            unpacked.rename(path)
        finally:
            unpacked.unlink(missing_ok=True)
        return FetchedFile(weights.name, path, sha256, is_first=weights.name not in recorded)


def _check(weights: Weights, sha256: str, path: Path, where: str) -> None:
    from pipeline.inference.contracts import Network  # noqa: PLC0415 - as in zoo.load_model
    from pipeline.inference.engines.onnx_session import CPU, open_onnx  # noqa: PLC0415

    try:
        Network(open_onnx(path, CPU), weights.spec(sha256), path)
    except (InvalidWeights, InvalidOutput) as error:
        raise InvalidWeights(error.message.replace(str(path), where)) from error
