"""The options of `poseline live --camera`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pipeline.core.live_protocol import Codec, Mode
from pipeline.errors import UsageError
from pipeline.services.teams import DEFAULT_TEAM

#: Of the live process itself.
_PROCESS = ("port", "address", "device", "slots", "threads", "lazy", "name")
_CAMERA = ("team", "speed", "codec", "mode", "side", "out", "keep")
_LONGEST_PX = 640


@dataclass(frozen=True)
class Wanted:
    """What the options ask for."""

    camera: Path
    team: str | None
    speed: float
    codec: str
    mode: str
    side: int
    out: Path | None
    keep: bool


def camera_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that make a command a camera."""
    path = click.Path(path_type=Path)
    for option in (
        click.option("--camera", type=path, metavar="FILE|DEVICE", help="Send these pictures, such as /dev/video0."),
        click.option("--team", help=f"Whose session it is.  [default: {DEFAULT_TEAM}, or that of the key]"),
        click.option(
            "--speed", type=click.FloatRange(0.1, 10), default=1.0, show_default=True, help="Of a file: 2 is double."
        ),
        click.option(
            "--codec", type=click.Choice([each.value for each in Codec]), default=Codec.H264.value, show_default=True
        ),
        click.option(
            "--mode",
            type=click.Choice([Mode.FULL.value, Mode.HYBRID.value]),
            default=Mode.FULL.value,
            show_default=True,
            help="Every frame, or one every half second.",
        ),
        click.option(
            "--side",
            type=click.IntRange(64, 4096),
            default=_LONGEST_PX,
            show_default=True,
            help="Send pictures whose longer side has at most so many pixels.",
        ),
        click.option("--keep", is_flag=True, help="Keep pictures and poses: the session becomes a video of the team."),
        click.option("--out", type=path, help="Write the poses here, as `poseline export` does in JSON Lines."),
    )[::-1]:
        command = option(command)
    return command


def check_kind(context: click.Context, *, camera: bool) -> None:
    """Refuse options of the live process for a camera, and the other way round.

    Raises:
        UsageError: there are some.
    """
    for name in _PROCESS if camera else _CAMERA:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            said = "is of the live process: leave it out with --camera" if camera else "needs --camera FILE|DEVICE"
            raise UsageError(f"--{name} {said}")
