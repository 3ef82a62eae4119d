"""Runs many cases in a few threads, and checks that none leaves anything behind."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import psutil

from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.core.video_limits import VideoLimits
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import build_model
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.settings import Settings
from pipeline.storage.blocks import BlockCache
from pipeline.video import zygote_client
from tests.fuzz.journey import Journey, Outcome
from tests.fuzz.mutations import Case, make_case
from tests.fuzz.seeds import RECIPES
from tests.support.onnx_maker import make_model

SIDE_PX = 64
BATCH = 100
#: A case that is not through by then hangs.
HANG_S = 120.0
SETTLE_S = 2.0
GROWTH_BYTES = 30 << 20
GROWTH_FDS = 6


def fuzz_settings(settings: Settings) -> Settings:
    """Small limits, so that a failure shows soon."""
    return settings.model_copy(
        update={"stall_s": 5.0, "lease_s": 60.0, "backoff_s": 0.0, "max_errors": 2, "chunk_frames": 8}
        | {"video": VideoLimits(max_pixels=1920 * 1088, max_frames=20_000, max_cpu_s_per_frame=3.0)}
    )


def make_cases(start: int, count: int) -> Iterator[Case]:
    """`count` cases from number `start` on, seed by seed in turn."""
    names = list(RECIPES)
    for i in range(count):
        yield make_case(names[i % len(names)], start + i // len(names))


@dataclass(frozen=True)
class Footprint:
    """What this process and its zygote hold while no case is under way."""

    fds: int
    threads: int
    children: int
    zygote: int
    zygote_fds: int
    rss_bytes: int
    zygote_rss_bytes: int
    files: tuple[str, ...]

    @classmethod
    def now(cls, folders: Iterable[Path]) -> Footprint:
        here, zygote = psutil.Process(), psutil.Process(zygote_client.zygote().pid)
        return cls(
            fds=here.num_fds(),
            threads=threading.active_count(),
            children=len(zygote.children()),
            zygote=zygote.pid,
            zygote_fds=zygote.num_fds(),
            rss_bytes=here.memory_info().rss,
            zygote_rss_bytes=zygote.memory_info().rss,
            files=tuple(sorted(str(path) for folder in folders for path in folder.rglob("*") if path.is_file())),
        )

    def growth_over(self, first: Footprint) -> list[str]:
        """What there is too much of, each a line."""
        found = []
        if self.children:
            found.append(f"{self.children} decoder children are left")
        if self.zygote != first.zygote:
            found.append("the decoders' zygote process died and was replaced")
        if self.fds > first.fds + GROWTH_FDS:
            found.append(f"{self.fds} descriptors are open, {first.fds} were")
        if self.zygote_fds > first.zygote_fds:
            found.append(f"{self.zygote_fds} descriptors are open in the zygote, {first.zygote_fds} were")
        if self.threads > first.threads:
            found.append(f"{self.threads} threads run, {first.threads} did")
        for name in ("rss_bytes", "zygote_rss_bytes"):
            grown = getattr(self, name) - getattr(first, name)
            if grown > GROWTH_BYTES:
                found.append(f"{name} grew by {grown / 2**20:.0f} MiB")
        if new := set(self.files) - set(first.files):
            found.append(f"files are left: {sorted(new)[:3]}")
        return found


@dataclass
class Tally:
    """What was seen."""

    ended: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    gave_up: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[str] = field(default_factory=list)
    hollow: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    frames: int = 0
    missing: int = 0
    slowest_s: float = 0.0
    files: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        counts = self.ended[outcome.case.seed]
        self.files += 1
        self.frames += outcome.frames
        self.missing += outcome.missing
        counts[outcome.ended] += 1
        if outcome.missing:
            self.damaged.append(outcome.case.name)
            counts["with missing frames"] += 1
        if outcome.reason:
            self.reasons[f"{outcome.ended}: {general(outcome.reason)}"].append(outcome.case.name)
        for line in outcome.gave_up:
            self.gave_up[general(line)].append(outcome.case.name)
        if outcome.frames and outcome.missing == outcome.frames:
            self.hollow.append(outcome.case.name)
        self.problems += [f"{outcome.case.name} {outcome.case.done}: {line}" for line in outcome.problems]
        self.slowest_s = max(self.slowest_s, outcome.seconds)

    def table(self) -> str:
        """By seed and by reason, for people."""
        lines = [f"{'seed':<22}{'ready':>8}{'rejected':>10}{'with missing frames':>22}"]
        for name, counts in self.ended.items():
            lines.append(f"{name:<22}{counts['ready']:>8}{counts['rejected']:>10}{counts['with missing frames']:>22}")
        ready = sum(counts["ready"] for counts in self.ended.values())
        rejected = sum(counts["rejected"] for counts in self.ended.values())
        summary = (
            f"{self.files} files: {ready} ready, {rejected} rejected; {self.frames} frames, {self.missing} missing; "
            f"slowest {self.slowest_s:.1f} s; {len(self.hollow)} ready without one frame {self.hollow[:8]}"
        )
        lines += [
            summary,
            "",
            *_by_count(self.reasons),
            "",
            "decoder children that failed:",
            *_by_count(self.gave_up),
        ]
        return "\n".join(lines)


def _by_count(cases: Mapping[str, list[str]]) -> Iterator[str]:
    for line, names in sorted(cases.items(), key=lambda item: -len(item[1])):
        yield f"{len(names):>6}  {line}  {', '.join(dict.fromkeys(names[:3]))}"


def general(reason: str) -> str:
    """A reason without its numbers and names, so that similar ones are counted together."""
    reason = re.sub(r"\([^)]*\)|another file, .*|video [0-9a-f-]{36}", "(…)", reason)
    return re.sub(r"\d+([.:,]\d+)*", "N", reason)


def run_cases(
    system: System, cases: Iterable[Case], folder: Path, *, threads: int = 2, say: Callable[[str], None] = print
) -> Tally:
    """Take every case through, `threads` at a time, and look after each hundred at what is left behind.

    Args:
        folder: failing cases are written there.
    """
    tally, first = Tally(), None
    journey = _journey(system, folder)
    # What is kept on purpose would look like a leak until it is full.
    system.store.blocks = BlockCache(max_bytes=4 << 20)
    system.settings.scratch_path.mkdir(parents=True, exist_ok=True)
    started_s = time.monotonic()
    with _own_temporary_folder(folder / "tmp") as temporary, ThreadPoolExecutor(threads, "fuzz") as pool:
        left = iter(cases)
        while batch := list(islice(left, BATCH)):
            for outcome in _go_all(pool, journey, batch, folder):
                tally.add(outcome)
                if outcome.problems:
                    _save(outcome, folder)
            now, grown = _settled(first, [system.settings.scratch_path, temporary])
            first = first or now
            tally.problems += [f"{batch[0].name} … {batch[-1].name}: {line}" for line in grown]
            counts = sum(tally.ended.values(), Counter[str]())
            say(
                f"{tally.files} files, {tally.files / (time.monotonic() - started_s):.1f}/s, {counts['ready']} ready, "
                f"{counts['rejected']} rejected, {tally.missing}/{tally.frames} frames missing, "
                f"slowest {tally.slowest_s:.1f} s, {now.rss_bytes >> 20} + {now.zygote_rss_bytes >> 20} MiB, "
                f"{now.fds} + {now.zygote_fds} descriptors, {len(tally.problems)} problems"
            )
    say(tally.table())
    return tally


def _settled(first: Footprint | None, folders: list[Path]) -> tuple[Footprint, list[str]]:
    """What is held, and too much of it; the zygote closes its end of a child a moment after it said that it ended."""
    tick, deadline = threading.Event(), time.monotonic() + SETTLE_S
    while (grown := (now := Footprint.now(folders)).growth_over(first or now)) and time.monotonic() < deadline:
        tick.wait(0.02)
    return now, grown


def _go_all(pool: ThreadPoolExecutor, journey: Journey, batch: list[Case], folder: Path) -> Iterator[Outcome]:
    running: dict[Future[Outcome], Case] = {pool.submit(journey.go, case): case for case in batch}
    while running:
        done, _ = wait(running, timeout=HANG_S, return_when="FIRST_COMPLETED")
        if not done:
            hanging = [case for future, case in running.items() if future.running()]
            for case in hanging:
                _save(Outcome(case, problems=["it hangs"]), folder)
            raise AssertionError(f"nothing ended for {HANG_S} s: {[case.name for case in hanging]}")
        for future in done:
            del running[future]
            yield future.result()


def _journey(system: System, folder: Path) -> Journey:
    folder.mkdir(parents=True, exist_ok=True)
    path = make_model(folder / "tiny.onnx", side_px=SIDE_PX)
    spec = ModelSpec("tiny", NetworkSpec("rtmo", "0" * 64, SIDE_PX, SIDE_PX), 0.3, 0.45, "", "")
    model = build_model(spec, lambda _: path, Placement("cpu"))
    models = ModelCache(system, Placement("cpu"))
    models._loaded[model.spec.fingerprint] = model
    return Journey(system, model, models)


def _save(outcome: Outcome, folder: Path) -> None:
    path = folder / f"{outcome.case.name}.bin"
    path.write_bytes(outcome.case.data)
    path.with_suffix(".txt").write_text("\n".join([*outcome.case.done, outcome.reason, *outcome.problems]))


@contextmanager
def _own_temporary_folder(folder: Path) -> Iterator[Path]:
    """Temporary files of this process go where nobody else's are."""
    folder.mkdir(parents=True, exist_ok=True)
    before, tempfile.tempdir = tempfile.tempdir, os.fspath(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
