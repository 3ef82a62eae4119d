"""Schedules, as people make, change and stop them. `team` restricts each call to one team; None is the operator."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.core.cron import Cron
from pipeline.core.model_spec import ModelSpec
from pipeline.core.progress import SILENT, Progress
from pipeline.core.promotion import parse_rule
from pipeline.core.selection import Selection
from pipeline.db import schedules as db
from pipeline.db.engine import transaction
from pipeline.db.held_runs import select_held_runs
from pipeline.db.models import select_model_spec
from pipeline.db.passes import PassRow, select_passes
from pipeline.errors import ServiceUnavailable, UsageError
from pipeline.inference.guide import published_ap
from pipeline.services.passes import Change, advance_pass, cancel_each, close_open_passes, open_pass, pass_name, tell
from pipeline.services.prepared_model import prepare_model
from pipeline.services.system import System
from pipeline.services.teams import team_id_of

Schedule = db.ScheduleRow

_MAX_NAME_CHARACTERS = 100


@dataclass(frozen=True)
class ScheduleOptions:
    """What a schedule is made of; None is what stays, or the default.

    Args:
        team: whose videos; all teams' where it is empty.
        window_s, budget_frames, budget_video_s: 0 for none.
        promotion: the rule, as `parse_rule` reads it.
    """

    team: str | None = None
    cron: str | None = None
    timezone: str | None = None
    window_s: int | None = None
    selection: Selection | None = None
    model: str | None = None
    budget_frames: int | None = None
    budget_video_s: float | None = None
    promotion: str | None = None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, field.name) is not None for field in fields(self))


def add_schedule(
    system: System, name: str, options: ScheduleOptions, *, enabled: bool = True, progress: Progress = SILENT
) -> Schedule:
    """Add a schedule; its model's weights go to the object store, so that every worker can fetch them.

    Raises:
        UsageError: the name, the cron expression, the zone or the rule is none, or there is one of that name.
        UnknownTeam: there is no such team.
        UnknownModel, InvalidWeights: as `prepare_model`.
    """
    if not name or len(name) > _MAX_NAME_CHARACTERS or not name.isprintable() or name != name.strip():
        raise UsageError(
            f"a schedule's name has 1 to {_MAX_NAME_CHARACTERS} printable characters, without a space at an end"
        )
    if options.cron is None or options.model is None:
        raise UsageError("a schedule needs a cron expression and a model: --cron '0 22 * * *' --model NAME")
    values = _values(system, options, progress) | {"enabled": enabled}
    with transaction(system.engine) as connection:
        values["next_slot_at"] = _cron(options.cron, options.timezone or "UTC").next_after(system.clock(connection))
        db.insert_schedule(connection, name, {"timezone": "UTC"} | values)
        return db.select_schedule(connection, name, team_name=None)


def list_schedules(system: System, *, team: str | None) -> list[Schedule]:
    """The schedules, by name.

    Raises:
        UnknownTeam: there is no such team.
    """
    team_id_of(system, team)
    with transaction(system.engine) as connection:
        return db.select_schedules(connection, team_name=team)


def get_schedule(system: System, name: str, *, team: str | None) -> Schedule:
    """One schedule.

    Raises:
        NotFound: there is none of that name.
    """
    with transaction(system.engine) as connection:
        return db.select_schedule(connection, name, team_name=team)


def edit_schedule(
    system: System, name: str, options: ScheduleOptions, *, team: str | None, progress: Progress = SILENT
) -> tuple[Schedule, int]:
    """Change a schedule from its next pass on. Returns it, and how many runs by its model before were cancelled.

    Raises:
        NotFound: there is none of that name.
        UsageError, UnknownTeam, UnknownModel, InvalidWeights: as `add_schedule`.
    """
    if not options.given:
        raise UsageError("nothing to change: give an option such as --cron, --model or --budget-frames")
    get_schedule(system, name, team=team)
    values = _values(system, options, progress)
    with transaction(system.engine) as connection:
        before = db.select_schedule(connection, name, team_name=team, lock=True)
        if options.promotion is not None and options.model is None:
            spec = ModelSpec.from_dict(select_model_spec(connection, before.model_fingerprint))
            check_rule(options.promotion, spec)
        if options.cron is not None or options.timezone is not None:
            cron = _cron(values.get("cron", before.cron), values.get("timezone", before.timezone))
            values["next_slot_at"] = cron.next_after(system.clock(connection))
        db.update_schedule(connection, before.id, values)
        other_model = values.get("model_fingerprint", before.model_fingerprint) != before.model_fingerprint
        if other_model:
            _stop_passes(connection, system, before)
        after = db.select_schedule(connection, name, team_name=None)
    return after, _cancel_held(system, before.id) if other_model else 0


def set_enabled(system: System, name: str, enabled: bool, *, team: str | None) -> Schedule:
    """Enable a schedule from its next slot on, or disable it: chunks in hand end, the rest waits for it to be enabled.

    Raises:
        NotFound: there is none of that name.
    """
    with transaction(system.engine) as connection:
        found = db.select_schedule(connection, name, team_name=team, lock=True)
        values: dict[str, Any] = {"enabled": enabled}
        if enabled and not found.enabled:  # what was missed while it was off is not caught up
            values["next_slot_at"] = _cron(found.cron, found.timezone).next_after(system.clock(connection))
        db.update_schedule(connection, found.id, values)
        if not enabled:
            _stop_passes(connection, system, found)
        return db.select_schedule(connection, name, team_name=None)


def remove_schedule(system: System, name: str, *, team: str | None) -> int:
    """Remove a schedule. Runs that wait for its next pass are cancelled; results stay. Returns how many those were.

    Raises:
        NotFound: there is none of that name.
    """
    with transaction(system.engine) as connection:
        found = db.select_schedule(connection, name, team_name=team, lock=True)
        db.update_schedule(connection, found.id, {"enabled": False})
        _stop_passes(connection, system, found)
    cancelled = _cancel_held(system, found.id)
    with transaction(system.engine) as connection:
        db.delete_schedule(connection, found.id)
    return cancelled


def run_now(system: System, name: str, *, team: str | None) -> PassRow:
    """Open a pass of a schedule at once, beside its slots, whether it is enabled or not.

    Raises:
        NotFound: there is none of that name.
        UsageError: it has an open pass.
    """
    with transaction(system.engine) as connection:
        found = db.select_schedule(connection, name, team_name=team, lock=True)
        newest = select_passes(connection, schedule_id=found.id, limit=1)
        if newest and newest[0].closed_at is None:
            raise UsageError(
                f"the pass {newest[0].name!r} is open; `poseline schedule show {shlex.quote(name)}` shows how far it is"
            )
        now = system.clock(connection)
        pass_id = open_pass(connection, found, now, now)
        assert pass_id is not None
    tell(system, Change(pass_name(found, now), pass_id, "opened"))
    advance_pass(system, pass_id)
    with transaction(system.engine) as connection:
        return select_passes(connection, pass_id=pass_id)[0]


def check_selection(selection: Selection, model: str) -> None:
    """Check that a selection makes sense for a model.

    Raises:
        UsageError: it compares published accuracies, and none of this model was published.
    """
    if any(condition.field == "accuracy" for condition in selection.conditions) and published_ap(model) is None:
        raise UsageError(
            f"no accuracy of {model} was published, so no video's model is known to be worse; select with "
            "--where model=NAME instead"
        )


def check_rule(text: str, model: ModelSpec | None = None) -> str:
    """A rule as it is stored.

    Raises:
        UsageError: it is none, or is on a keypoint that the model does not have, so that it would never hold.
    """
    try:
        rule = parse_rule(text)
    except ValueError as error:
        raise UsageError(str(error)) from error
    for condition in rule.conditions:
        if model is not None and condition.joint is not None and condition.joint not in model.keypoint_names:
            raise UsageError(
                f"{condition}: {model.name} has no keypoint {condition.joint!r}; its keypoints are "
                f"{', '.join(model.keypoint_names)}"
            )
    return str(rule)


def _values(system: System, options: ScheduleOptions, progress: Progress) -> dict[str, Any]:
    """The columns that the options change; the model is kept for the workers."""
    values: dict[str, Any] = {}
    if options.cron is not None or options.timezone is not None:
        every_minute = "* * * * *"
        _cron(every_minute if options.cron is None else options.cron, "UTC")
        _cron(every_minute, "UTC" if options.timezone is None else options.timezone)
        values |= _without_none({"cron": options.cron, "timezone": options.timezone})
    for name in ("window_s", "budget_frames", "budget_video_s"):
        if (value := getattr(options, name)) is not None:
            values[name] = value or None
    if options.promotion is not None:
        values["promotion"] = check_rule(options.promotion)
    if options.selection is not None:
        values["selection"] = options.selection.to_list()
    if options.team is not None:
        values["team_id"] = team_id_of(system, options.team or None)
    if options.model is not None:
        check_selection(options.selection or Selection(), options.model)
        spec = prepare_model(system, options.model, progress)
        values["model_fingerprint"] = spec.fingerprint
        if options.promotion is not None:
            check_rule(options.promotion, spec)
    return values


def _cron(text: str, timezone: str) -> Cron:
    try:
        return Cron(text, timezone)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _stop_passes(connection: Connection, system: System, schedule: Schedule) -> None:
    if close_open_passes(connection, schedule.id, "stopped", system.clock(connection)) is None:
        raise ServiceUnavailable(f"the pass of {schedule.name} is being worked on at this moment; try again")


def _cancel_held(system: System, schedule_id: UUID) -> int:
    with transaction(system.engine) as connection:
        held = select_held_runs(connection, schedule_id)
    return cancel_each(system, held)
