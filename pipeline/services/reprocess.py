"""Analyse videos again by another model, once: what would be, and a pass that does it at once."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pipeline.core.progress import SILENT, Progress
from pipeline.core.selection import Selection
from pipeline.db.engine import transaction
from pipeline.db.passes import Candidate, Scope, insert_pass, select_candidates
from pipeline.inference.guide import worse_models
from pipeline.services.pass_estimate import Estimate, estimate_videos
from pipeline.services.pass_list import PassProgress, get_pass
from pipeline.services.passes import Change, advance_pass, tell
from pipeline.services.prepared_model import prepare_model
from pipeline.services.schedules import check_rule, check_selection
from pipeline.services.system import System
from pipeline.services.teams import team_id_of

_SYSTEM_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Wanted:
    """What is to be analysed again, by which model.

    Args:
        team: whose videos; None for all teams.
        limit: the most videos, the oldest first; None for all.
        sample: so many videos at random instead.
        promotion: the rule by which a new run becomes its video's current one.
    """

    model: str
    selection: Selection
    team: str | None = None
    limit: int | None = None
    sample: int | None = None
    promotion: str = "automatic"


def estimate(system: System, wanted: Wanted) -> Estimate:
    """What `reprocess` would take. Nothing is changed, but that the model is kept for the workers.

    Raises:
        UnknownModel, InvalidWeights, UnknownTeam, UsageError: as `reprocess`.
    """
    scope = _scope(system, wanted, SILENT)
    return estimate_videos(system, scope, _choose(system, wanted, scope))


def reprocess(system: System, wanted: Wanted, progress: Progress = SILENT) -> PassProgress | Estimate:
    """Open a pass that takes what is selected now. Returns it; where there is nothing to do, the empty estimate.

    Raises:
        UnknownModel: there is no such model.
        InvalidWeights: its weights are not on this machine, have changed, or are not those that the team pinned.
        UnknownTeam: there is no such team.
        UsageError: the rule is none.
    """
    scope = _scope(system, wanted, progress)
    videos = _choose(system, wanted, scope)
    if not videos:
        return estimate_videos(system, scope, videos)
    with transaction(system.engine) as connection:
        now = system.clock(connection)
        name = f"reprocess {scope.model} {now:%Y-%m-%d %H:%M:%S}"
        pass_id = insert_pass(
            connection,
            {
                "name": name,
                "team_id": scope.team_id,
                "selection": wanted.selection.to_list(),
                "model_fingerprint": scope.model_fingerprint,
                "promotion": check_rule(wanted.promotion),
                "video_ids": [one.video_id for one in videos],
                "opened_at": now,
            },
        )
        assert pass_id is not None
    tell(system, Change(name, pass_id, "opened"))
    advance_pass(system, pass_id)
    return PassProgress(*get_pass(system, pass_id), sum(one.frames for one in videos))


def _scope(system: System, wanted: Wanted, progress: Progress) -> Scope:
    check_selection(wanted.selection, wanted.model)
    team_id = team_id_of(system, wanted.team)
    spec = prepare_model(system, wanted.model, progress)
    check_rule(wanted.promotion, spec)
    return Scope(spec.fingerprint, spec.full_name, wanted.selection, team_id)


def _choose(system: System, wanted: Wanted, scope: Scope) -> list[Candidate]:
    limit = wanted.limit if wanted.sample is None else None
    with transaction(system.engine) as connection:
        now = system.clock(connection)
        videos = select_candidates(connection, scope, now, worse_models(scope.model), limit=limit)
    if wanted.sample is None or wanted.sample >= len(videos):
        return videos
    chosen = set(_SYSTEM_RANDOM.sample(range(len(videos)), wanted.sample))
    return [one for at, one in enumerate(videos) if at in chosen]
