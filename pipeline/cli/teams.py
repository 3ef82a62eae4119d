"""`poseline teams`: the teams, their weights in the queue, their quotas, and the limits of their videos."""

from __future__ import annotations

import re
from typing import Any

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.durations import UNITS_S, Seconds
from pipeline.db.teams import TeamRow
from pipeline.errors import UsageError
from pipeline.services.teams import add_team, list_teams, set_team
from pipeline.services.upload_steps import check_team

#: The option of a limit, and its setting.
LIMITS = {
    "bytes": "max_bytes",
    "pixels": "max_pixels",
    "frames": "max_frames",
    "duration": "max_duration_s",
    "streams": "max_streams",
    "cpu-per-frame": "max_cpu_s_per_frame",
}
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class _Bytes(click.ParamType[int]):
    """`10G`, `500M`, or plain bytes."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if (parts := re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", str(value))) is None:
            self.fail(f"{value!r} is not a size; write 10G, 500M, or plain bytes", param, ctx)
        return int(float(parts[1]) * _UNITS[parts[2]])


class _Pixels(click.ParamType[int]):
    """`3840x2160`, or plain pixels."""

    name = "pixels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if (parts := re.fullmatch(r"(\d+)(?:x(\d+))?", str(value))) is None:
            self.fail(f"{value!r} is not a size in pixels; write 3840x2160, or plain pixels", param, ctx)
        return int(parts[1]) * int(parts[2] or 1)


@click.group(invoke_without_command=True)
@common
@pass_console
@click.pass_context
def teams(context: click.Context, console: Console) -> None:
    """List the teams: their weight in the queue, and the limits that differ from the default."""
    if context.invoked_subcommand is not None:
        return
    rows = list_teams(console.system)
    if console.print_json([_to_dict(row) for row in rows]):
        return
    if not rows:
        console.print("no teams yet; `poseline teams add NAME` makes one")
        return
    console.table(
        ("team", "weight", "slots", "own limits"),
        [
            (row.name, f"{row.weight:g}", row.max_slots and f"at most {row.max_slots}", _format_limits(row.limits))
            for row in rows
        ],
    )


def _weight_and_limits(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that `add` and `set` share."""
    for option in (
        click.option("--max-cpu-per-frame", "max_cpu_s_per_frame", type=float, metavar="S", help="Of the decoder."),
        click.option("--max-streams", "max_streams", type=int, metavar="N", help="Of one file."),
        click.option(
            "--max-duration", "max_duration_s", type=Seconds(), metavar="TIME", help="Of one video, such as 2h."
        ),
        click.option("--max-frames", "max_frames", type=int, metavar="N", help="Of one video."),
        click.option(
            "--max-pixels", "max_pixels", type=_Pixels(), metavar="WxH", help="Of one frame, such as 3840x2160."
        ),
        click.option("--max-bytes", "max_bytes", type=_Bytes(), metavar="SIZE", help="Of one file, such as 10G."),
        click.option(
            "--max-slots",
            type=click.IntRange(0),
            metavar="N",
            help="The most chunks that it has sent to workers or running, those that wait for a slot too; 0: no cap.",
        ),
        click.option(
            "--quota", "quota_bytes", type=_Bytes(), metavar="SIZE", help="Of all its uploads by web and API; 0: none."
        ),
        click.option("--weight", type=float, help="Share of the queue, relative to other teams."),
    ):
        command = option(command)
    return command


@teams.command("add")
@click.argument("team", metavar="NAME")
@_weight_and_limits
@common
@pass_console
def add(
    console: Console,
    /,
    team: str,
    weight: float | None,
    max_slots: int | None,
    quota_bytes: int | None,
    **limits: Any,
) -> None:
    """Add a team. Limits that are not named are the default."""
    check_team(team)
    given = {name: value for name, value in limits.items() if value is not None}
    weight = 1.0 if weight is None else weight
    row = add_team(
        *(console.system, team),
        weight=weight,
        limits=given,
        max_slots=max_slots or None,
        quota_bytes=quota_bytes or None,
    )
    _print_team(console, row)


@teams.command("set")
@click.argument("team", metavar="NAME")
@_weight_and_limits
@click.option(
    "--default",
    "reset",
    type=click.Choice([*LIMITS]),
    multiple=True,
    help="Reset this limit; may be repeated.",
)
@common
@pass_console
def set_(
    console: Console,
    /,
    team: str,
    weight: float | None,
    max_slots: int | None,
    quota_bytes: int | None,
    reset: tuple[str, ...],
    **limits: Any,
) -> None:
    """Change a team's weight, slots or limits; what is not named stays. Applies from now on."""
    check_team(team)
    given = {name: value for name, value in limits.items() if value is not None}
    if weight is None and max_slots is None and quota_bytes is None and not given and not reset:
        raise UsageError("nothing to change: give a --weight, a limit such as --max-duration 2h, or --default LIMIT")
    row = set_team(
        *(console.system, team),
        weight=weight,
        limits=given,
        reset=[LIMITS[name] for name in reset],
        max_slots=max_slots,
        quota_bytes=quota_bytes,
    )
    _print_team(console, row)


def _print_team(console: Console, row: TeamRow) -> None:
    if not console.print_json(_to_dict(row)):
        slots = f", at most {row.max_slots} slots" if row.max_slots else ""
        slots += f", quota {_format_limit('bytes', row.quota_bytes)}" if row.quota_bytes else ""
        console.print(f"{row.name}: weight {row.weight:g}{slots}, {_format_limits(row.limits) or 'default limits'}")


def _to_dict(row: TeamRow) -> dict[str, Any]:
    return {
        "team": row.name,
        "weight": row.weight,
        "max_slots": row.max_slots,
        "quota_bytes": row.quota_bytes,
        "limits": dict(row.limits),
    }


def _format_limits(limits: Any) -> str:
    return ", ".join(f"{name} {_format_limit(name, limits[key])}" for name, key in LIMITS.items() if key in limits)


def _format_limit(name: str, value: float) -> str:
    if name == "bytes":
        unit = next(unit for unit in ("T", "G", "M", "K", "") if value % _UNITS[unit] == 0)
        return f"{value // _UNITS[unit]}{unit}"
    if name in {"duration", "cpu-per-frame"}:
        unit = next(unit for unit in ("h", "m", "s") if value % UNITS_S[unit] == 0 or unit == "s")
        return f"{value / UNITS_S[unit]:g} {unit}"
    return str(value)
