"""Take in the videos that a command line names: what `analyze` and `ingest` have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from pipeline.cli.console import Console, interactive
from pipeline.cli.ended_videos import Ended, what_is_known
from pipeline.cli.ingest_report import IngestReport, facts_of
from pipeline.cli.progress import Bar, Steps
from pipeline.cli.source_options import Wanted
from pipeline.cli.sources import Source, find_sources
from pipeline.cli.stop_signals import stopped_as_by_ctrl_c
from pipeline.cli.waiting import Submission
from pipeline.core.tags import checked_tags
from pipeline.core.video_names import is_video_name
from pipeline.errors import OwnPreview, PoselineError, UnknownTeam, UsageError
from pipeline.inference.zoo import find_model
from pipeline.services.bulk_ingest import ingest_all
from pipeline.services.manifest import manifest_errors
from pipeline.services.registration import Registration
from pipeline.services.take_in import Intake
from pipeline.services.to_take_in import Item, TakenIn
from pipeline.services.upload_steps import check_team, is_own_object, printable

#: Of more videos, what is known of each is counted and not told one by one.
TOLD_ONE_BY_ONE = 20
_LARGE_BYTES = 64 * 2**20
_JOBS_OF_LARGE = 3
_JOBS_PER_CORE, _MOST_JOBS = 4, 16


class TakingIn:
    """A command that takes in videos: everything that would fail for all alike is checked before the first.

    Raises:
        UsageError: the command line, a manifest or a path is wrong.
        ServiceUnavailable: a server does not answer.
    """

    def __init__(self, console: Console, wanted: Wanted) -> None:
        self._console, self._wanted = console, wanted
        self._team = console.client.own_team if wanted.team is None else wanted.team
        check_team(self._team)
        self.sources = find_sources(wanted.paths, wanted.manifest)
        self.report = None if wanted.report is None else IngestReport(wanted.report)
        console.client.prepare(wanted.model, wanted.lane)
        self._teams = _require_teams(console, self._team, self.sources)
        self._unmatched: list[str] = []
        missing = console.client.missing_capability()
        if missing is not None:  # no error: runs that exist already are not affected
            console.progress(missing)
        self._ready = [each for source in self.sources for each in self._first_items(source)]
        self.is_many = len(self._ready) > 1 or any(source.in_folder for source in self.sources)
        self.ended = Ended()

    def run(self) -> Ended:
        """Take in all. What has ended is in `ended` whatever is raised."""
        console, ended = self._console, self.ended
        total_bytes = sum(item.size_bytes for item in self._ready if isinstance(item, Item))
        wanted = self._wanted
        intake = console.client.begin_intake(
            lane=wanted.lane, deadline=wanted.deadline, progress=Steps(console), on_wait=console.notice
        )
        numbers: dict[int, int] = {}
        done_bytes = 0
        with (
            stopped_as_by_ctrl_c(),
            self.report or nullcontext(),
            Bar(console, self._title(), total_bytes or None, "bytes" if total_bytes else "videos") as bar,
        ):

            def on_begin(item: Item) -> None:
                numbers[id(item)] = len(ended.items)
                ended.items.append(item)
                if not total_bytes:
                    bar.total(len(ended.items))

            def on_bytes(count: int) -> None:
                nonlocal done_bytes
                done_bytes += count
                if total_bytes:
                    bar.at(done_bytes)

            def on_end(item: Item, result: TakenIn | PoselineError) -> None:
                ended.results[numbers[id(item)]] = result
                if self.report is not None:
                    self.report.add(item, result)
                bar.title(self._title())
                if not total_bytes:
                    bar.at(len(ended.results))

            try:
                ended.not_tried = ingest_all(
                    intake, self._iter_items(), jobs=self._jobs(), on_begin=on_begin, on_bytes=on_bytes, on_end=on_end
                )
            finally:
                intake.close()
        self._tell()
        return ended

    def facts(self) -> list[dict[str, Any]]:
        """What became of each that was taken in, as JSON fields."""
        facts: list[dict[str, Any]] = []
        for item, result in self.ended.in_order():
            if isinstance(result, TakenIn):
                existed = result.run is not None and result.run.existed
                facts.append({**facts_of(item, result), "existed": existed, "tags": dict(item.tags)})
        return facts

    def _title(self) -> str:
        if len(self._ready) == 1 and isinstance(self._ready[0], Item):
            return f"uploading {self._ready[0].shown_name}"
        listed = f"{len(self._ready):,}" if all(isinstance(each, Item) for each in self._ready) else "the"
        return f"uploading {listed} videos, {len(self.ended.results):,} done"

    def _jobs(self) -> int:
        sizes = [item.size_bytes for item in self._ready if isinstance(item, Item)]
        if self._wanted.jobs is not None:
            return self._wanted.jobs
        if sizes and sum(sizes) / len(sizes) >= _LARGE_BYTES:  # each goes in parts, several at once
            return _JOBS_OF_LARGE
        return min(_MOST_JOBS, _JOBS_PER_CORE * (os.cpu_count() or 1))

    def _first_items(self, source: Source) -> list[Item | Source]:
        """A source as what is taken in; a prefix stays one, since its objects are listed while they are taken in."""
        if not source.is_prefix:
            return [self._item(source)]
        if next(self._iter_prefix(source), None) is None:
            raise UsageError(f"there is no video below {source.location}; check the bucket and the prefix")
        return [source]

    def _iter_items(self) -> Iterator[Item]:
        listed = {source.location for source in self.sources if source.manifest is not None}
        for each in self._ready:
            if isinstance(each, Item):
                yield each
            else:
                yield from (item for item in self._iter_prefix(each) if item.location not in listed)

    def _iter_prefix(self, source: Source) -> Iterator[Item]:
        store = self._console.system.store
        bucket, _, prefix = source.location.removeprefix("s3://").partition("/")
        for key in store.list_keys(prefix, bucket):
            if is_video_name(key) and not is_own_object(self._console.system, bucket, key):
                yield self._item(Source(f"s3://{bucket}/{key}", in_folder=True))

    def _item(self, source: Source) -> Item:
        """A source with its team, tags and size.

        Raises:
            UsageError: it has too many tags.
        """
        wanted = self._wanted
        named = self._named_parts(source)
        team = source.team or (named["team"] if named.get("team") in self._teams else self._team)
        if named.get("team") == team:
            del named["team"]
        try:
            tags = checked_tags({**named, **wanted.tags, **source.tags})
        except ValueError as error:
            raise UsageError(f"{source.shown_name}: {error}") from error
        is_object = source.location.startswith("s3://")
        size_bytes = 0 if is_object or not os.path.exists(source.location) else os.stat(source.location).st_size
        return Item(source.location, team, source.name, tags, size_bytes, source.in_folder)

    def _named_parts(self, source: Source) -> dict[str, str]:
        if self._wanted.pattern is None:
            return {}
        is_object = source.location.startswith("s3://")
        path = source.location if is_object else os.path.abspath(source.location)
        try:
            parts = self._wanted.pattern.match(path)
        except ValueError:
            parts = None
        if parts is None:
            self._unmatched.append(source.location)
        return parts or {}

    def _tell(self) -> None:
        """Say what is worth knowing of those that were taken in."""
        told = [(item, result) for item, result in self.ended.in_order() if isinstance(result, TakenIn)]
        if len(told) <= TOLD_ONE_BY_ONE:
            for line in what_is_known(self._console, told):
                self._console.progress(line)
        changed = [(item, result) for item, result in told if result.replaced]
        if len(told) > TOLD_ONE_BY_ONE and changed:
            self._console.progress(f"{len(changed):,} videos that were known have other values of tags now")
        if self._unmatched:
            first = printable(self._unmatched[0])
            more = f" and {len(self._unmatched) - 1:,} more" if len(self._unmatched) > 1 else ""
            self._console.progress(f"no tags from {first}{more}: it does not fit --key-pattern")
        for item, result in self.ended.in_order():
            if isinstance(result, OwnPreview) and item.in_folder:
                self._console.progress(f"skipped {item.shown_name}: Poseline drew it")


def _require_teams(console: Console, team: str, sources: Sequence[Source]) -> set[str]:
    """Check that every team exists; on a terminal, offer to make that of the command. Returns those that there are.

    Raises:
        UnknownTeam: that of the command does not, and is not to be made.
        UsageError: one of a manifest does not.
    """
    if any(source.team is None for source in sources):
        _require_team(console, team)
    there = console.client.team_names()
    wrong: dict[Path, list[tuple[int, str]]] = {}
    for source in sources:
        if source.team is not None and source.team not in there and source.manifest is not None:
            path, line = source.manifest
            what = f"there is no team {source.team!r}; `poseline teams add` makes it"
            wrong.setdefault(path, []).append((line, what))
    for path, errors in wrong.items():
        raise manifest_errors(path, errors)
    return there


def _require_team(console: Console, team: str) -> None:
    try:
        console.client.require_team(team)
    except UnknownTeam as error:
        if console.as_json or not (interactive() and sys.stdin.isatty()):
            raise
        question = error.message.rpartition("; `poseline")[0]
        if not click.confirm(f"{question}; make it with the default limits?", err=True):
            raise
        console.client.add_team(team)


def submit(console: Console, source: str, team: str, model: str) -> Submission:
    """Submit one video, without the checks of a command line.

    Raises:
        PoselineError: as `Intake.take_in`.
    """
    found = find_model(model, console.models_path, console.pins_path)
    intake = Intake(console.system, Registration(console.system, found), on_wait=console.notice)
    item = Item(source, team, size_bytes=os.stat(source).st_size)
    with Bar(console, f"uploading {item.shown_name}", item.size_bytes, "bytes") as bar:
        result = intake.take_in(item, bar.advance)
    for line in what_is_known(console, [(item, result)]):
        console.progress(line)
    assert result.run is not None
    return Submission(item.shown_name, team, result.video_id, result.run.run_id, result.run.existed)
