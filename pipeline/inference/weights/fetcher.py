"""Fetch weights from their publisher, a mirror or a folder: once, whole, and never others under the name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import InvalidOutput, InvalidWeights, ServiceUnavailable, UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL, Weights, find_entry
from pipeline.inference.weights.checksums import CHECKSUMS_FILE, only_writer, read_checksums, sha256_of, write_checksums
from pipeline.inference.weights.http_download import OnProgress, download
from pipeline.inference.weights.pins import add_pin, hold_against
from pipeline.inference.weights.resume import Partial, discard_partials, without_query
from pipeline.inference.weights.sources import PUBLISHER, Disk, Place, Web
from pipeline.inference.weights.unpacking import unpack
from pipeline.inference.zoo import split_precision


@dataclass(frozen=True)
class FetchedFile:
    """One file of weights on this machine.

    Args:
        is_first: it was never seen under its name in this folder before, and is what must come from now on.
        is_pinned_now: it was added to the team's pins.
    """

    name: str
    path: Path
    sha256: str
    is_first: bool = False
    is_pinned_now: bool = False


@dataclass(frozen=True)
class _Came:
    """A file that came, not looked at yet.

    Args:
        partial: that it is, where it was downloaded.
        was_begun: before this call, so that a power cut may have spoiled it.
    """

    path: Path
    where: str
    partial: Partial | None = None
    was_begun: bool = False


def needed_weights(names: Iterable[str]) -> list[Weights]:
    """Every file that these models need and that does not come with Poseline, each once, detectors before poses.

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
    """How weights come to a folder of models.

    Args:
        place: where they come from.
        pins_path: the team's pins, see `pins.py`.
        say: takes a line for a person.
        pause: waits for so many seconds.
    """

    models_path: Path
    place: Place = PUBLISHER
    pins_path: Path | None = None
    say: Callable[[str], None] = lambda _line: None
    pause: Callable[[float], None] = time.sleep

    def fetch(self, weights: Weights, on_progress: OnProgress | None = None) -> FetchedFile:
        """Have a file of weights here. Many processes may ask at once; one downloads.

        Args:
            on_progress: called with bytes so far, those of an earlier try too, and bytes in all.

        Raises:
            ServiceUnavailable: there is no way to the publisher, or it broke off; what came is kept.
            InvalidWeights: what came is no such network, or not the one that is recorded or pinned under the name.
            UsageError: the place or the pins cannot be used.
        """
        try:
            # Without the lock first: a folder of models may be read-only.
            found = self._here(weights)
            if found is None:
                with only_writer(self.models_path, lambda: self.say("another process fetches models; waiting for it")):
                    found = self._here(weights) or self._fetch(weights, on_progress)
        except OSError as error:
            raise InvalidWeights(
                f"{self.models_path} cannot be used for models ({error}); set POSELINE_MODELS_DIR"
            ) from error
        if self.pins_path is None:
            return found
        return replace(found, is_pinned_now=add_pin(self.pins_path, weights.name, found.sha256))

    def kept_bytes(self, wanted: Iterable[Weights]) -> int:
        """Of downloads from this place that broke off and can go on."""
        partials = [partial for each in wanted for _, partial in self._partials(each)]
        return sum(begun.got_bytes for begun in map(Partial.look, partials) if begun is not None)

    def _here(self, weights: Weights) -> FetchedFile | None:
        path, recorded = weights.file_in(self.models_path), read_checksums(self.models_path).get(weights.name)
        if self.pins_path is not None:
            hold_against(self.pins_path, weights.name, recorded, str(path))
        if recorded is None or not path.is_file() or sha256_of(path) != recorded:
            return None
        return FetchedFile(weights.name, path, recorded)

    def _fetch(self, weights: Weights, on_progress: OnProgress | None) -> FetchedFile:
        while True:
            came = self._bring(weights, on_progress)
            try:
                found = self._accept(weights, came)
            except InvalidWeights:
                if came.partial is not None:
                    came.partial.discard()
                if not came.was_begun:
                    raise
                self.say(f"what was kept of {weights.name} is of no use; fetching it from the start")
            else:
                discard_partials(self.models_path, weights.name)
                return found

    def _bring(self, weights: Weights, on_progress: OnProgress | None) -> _Came:
        if isinstance(self.place, Disk):
            path = self.place.file_of(weights)
            return _Came(path, str(path))
        failures = []
        for url, partial in self._partials(weights):
            begun = partial.look()
            if begun is not None:
                self.say(f"{begun.got_bytes / 1e6:.1f} MB of {weights.name} are here from an earlier try")
            try:
                download(url, partial, on_progress, self.pause)
            except ServiceUnavailable as error:
                failures.append(error.message)
            else:
                return _Came(partial.path, without_query(url), partial, begun is not None)
        kept = "; what came is kept, and the same command goes on from there" if self.kept_bytes([weights]) else ""
        raise ServiceUnavailable(
            f"{weights.name} cannot be fetched: {'; '.join(failures)}{kept}. Check the network, or name a folder or "
            f"mirror that has it (--from PLACE); {BUNDLED_MODEL} works offline"
        )

    def _partials(self, weights: Weights) -> Iterator[tuple[str, Partial]]:
        if isinstance(self.place, Web):
            for url in self.place.urls(weights):
                yield url, Partial(self.models_path, weights.name, url)

    def _accept(self, weights: Weights, came: _Came) -> FetchedFile:
        unpacked, sha256 = unpack(came.path, self.models_path, came.where)
        try:
            recorded = read_checksums(self.models_path)
            if recorded.get(weights.name, sha256) != sha256:
                raise InvalidWeights(
                    f"{weights.name} is not what it was when it was first fetched (SHA-256 {sha256[:12]}, not "
                    f"{recorded[weights.name][:12]}): nothing was changed; if you trust the new weights, remove "
                    f"{weights.name} from {self.models_path / CHECKSUMS_FILE} and fetch again"
                )
            if self.pins_path is not None:
                hold_against(self.pins_path, weights.name, sha256, came.where)
            _check(weights, sha256, unpacked, came.where)  # what cannot be loaded must not be pinned
            # The checksum first: if this process dies in between, a file that is missing is fetched again and held
            # against it, where a file without a checksum could not be trusted.
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
