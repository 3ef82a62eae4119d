"""`poseline runs`, `show`, `verify`, `export`, `preview`: look at what came out."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.console import Console, common, pass_console
from pipeline.cli.formatting import facts, summary_line
from pipeline.cli.progress import Bar
from pipeline.core.states import RunState, is_final
from pipeline.db.chunks import count_chunks, count_computed_with
from pipeline.db.engine import transaction
from pipeline.db.runs import RunRow, find_run, mark_cancelled, select_run, select_runs
from pipeline.db.videos import select_video
from pipeline.services.capabilities import blocking_reason
from pipeline.services.export import FORMATS, Format, export_run
from pipeline.services.preview import preview_run
from pipeline.services.verify import verify_run


@click.command()
@click.option("--team", help="Only this team's.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@common
@pass_console
def runs(console: Console, team: str | None, limit: int) -> None:
    """List the newest runs."""
    with transaction(console.system.engine) as connection:
        rows = select_runs(connection, team_name=team, limit=limit)
    if console.facts([facts(run) for run in rows]):
        return
    if not rows:
        console.say("no runs yet; `poseline analyze VIDEO` makes one")
        return
    console.table(
        ("run", "state", "frames", "team", "model", "video"),
        [
            (
                str(run.id)[:8],
                run.state,
                f"{run.frames_done}/{run.frames}" if run.frames else "",
                run.team,
                run.model_name,
                run.video,
            )
            for run in rows
        ],
    )


@click.command()
@click.argument("run_id", metavar="RUN")
@common
@pass_console
def show(console: Console, run_id: str) -> None:
    """Show one run: how far it is, what it found, what went wrong."""
    with transaction(console.system.engine) as connection:
        run = select_run(connection, find_run(connection, run_id))
        video = select_video(connection, run.video_id)
        chunks = count_chunks(connection, run.id)
        trouble = None if is_final(run.state) else blocking_reason(connection, run.id)
        computed_with = count_computed_with(connection, run.id)
    more = {
        "model_fingerprint": run.model_fingerprint,
        "frames_done": run.frames_done,
        "chunks_by_state": chunks,
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "sha256": video.sha256,
        "first_pts": video.first_pts,
        "time_base": str(video.time_base) if video.time_base else None,
        "frames_to_decode": run.frames_to_decode,
        "trouble": trouble,
        "computed_with": computed_with,
    }
    if console.facts({**facts(run), **more}):
        return
    console.say(f"run {run.id}: {run.state}" + (f" ({run.reason})" if run.reason else ""))
    console.say(f"  video   {run.video}, {video.width}x{video.height}, {video.codec}, team {run.team}")
    console.say(f"  model   {run.model_name} ({run.model_fingerprint[:12]})")
    for note in run.notes:
        console.say(f"          {note}")
    console.say(f"  frames  {run.frames_done} of {run.frames if run.frames is not None else '?'}{_cost(run)}")
    console.say("  chunks  " + ", ".join(f"{count} {state}" for state, count in chunks.items()))
    for words, count in computed_with.items():
        console.say(f"  with    {words}: {count} frames")
    if trouble is not None:
        console.say(f"  trouble {trouble}")
    if run.state is RunState.DONE:
        console.say(f"  {summary_line(run)}")


@click.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@common
@pass_console
def cancel(console: Console, run_ids: tuple[str, ...]) -> None:
    """End runs that nobody wants any more. What they found is kept; asked for again, a run begins anew."""
    with transaction(console.system.engine) as connection:
        found = [find_run(connection, run_id) for run_id in run_ids]
    rows = []
    for each in found:
        with transaction(console.system.engine) as connection:
            was_open = mark_cancelled(connection, each)
            state = select_run(connection, each).state
        rows.append({"run": str(each), "state": state, "was_open": was_open})
    if not console.facts(rows):
        for row in rows:
            console.say(f"run {row['run']}: {row['state']}" + ("" if row["was_open"] else " already, nothing changed"))


@click.command()
@click.argument("run_id", metavar="RUN")
@common
@pass_console
def verify(console: Console, run_id: str) -> int:
    """Hold a run's frames against its video as it lies in the store now. Exit code 1 where they differ."""
    with transaction(console.system.engine) as connection:
        found = find_run(connection, run_id)
    verdict = verify_run(console.system, found, console.step)
    if console.facts(
        {
            "run": str(found),
            "good": verdict.good,
            "checks": [{"what": check.what, "good": check.good, "found": check.found} for check in verdict.checks],
        }
    ):
        return 0 if verdict.good else 1
    words = "as it should be" if verdict.good else "NOT as it should be"
    console.say(f"run {found}: {words}")
    for check in verdict.checks:
        console.say(f"  {check.what:<7} {'' if check.good else 'WRONG: '}{check.found}")
    return 0 if verdict.good else 1


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By the file's ending where not given.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE")
@common
@pass_console
def export(console: Console, run_id: str, form: Format | None, out: Path) -> None:
    """Write a run's poses to a file."""
    with transaction(console.system.engine) as connection:
        run = select_run(connection, find_run(connection, run_id))
    chosen: Format = form if form is not None else _form_of(out)
    with Bar(console, f"writing {out.name}", run.frames) as bar:
        written = export_run(console.system, run.id, out, chosen, on_frame=bar.advance)
    if not console.facts({"run": str(run.id), "files": [str(path) for path in written]}):
        for path in written:
            console.say(str(path))


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="X.mp4|X.png")
@common
@pass_console
def preview(console: Console, run_id: str, out: Path) -> None:
    """Draw a run's skeletons on its video (.mp4) or on a contact sheet (.png)."""
    with transaction(console.system.engine) as connection:
        found = find_run(connection, run_id)
    with Bar(console, f"drawing {out.name}", None) as bar:
        written = preview_run(console.system, found, out, on_frame=bar.advance, on_total=bar.total)
    if not console.facts({"run": str(found), "files": [str(written)]}):
        console.say(str(written))


def _cost(run: RunRow) -> str:
    """What the plan decodes twice, because its chunks do not all start at keyframes."""
    if not run.frames or not run.frames_to_decode:
        return ""
    twice = run.frames_to_decode - run.frames
    return f", {twice} decoded twice ({twice / run.frames:.1%})" if twice else ", none decoded twice"


def _form_of(out: Path) -> Format:
    for form in FORMATS:
        if out.suffix.lower() == f".{form}":
            return form
    return "jsonl"
