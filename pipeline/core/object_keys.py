"""Keys of the objects that Poseline writes: made of ids alone, never of text that a person wrote."""

from __future__ import annotations

import posixpath
from uuid import UUID

#: The first segments of keys that Poseline writes in its own bucket; a user may not register an object below them.
OWN_PREFIXES = frozenset({"teams", "runs", "models"})


def team_folder(team_id: UUID) -> str:
    """The folder of everything that a team uploaded."""
    return f"teams/{team_id}"


def video_key(team_id: UUID, video_id: UUID) -> str:
    """Where an uploaded video is stored."""
    return f"{team_folder(team_id)}/videos/{video_id}"


def proxy_key(team_id: UUID, video_id: UUID) -> str:
    """Where the copy of a video for browsers is stored."""
    return f"{team_folder(team_id)}/proxies/{video_id}.mp4"


def thumbnail_key(team_id: UUID, video_id: UUID) -> str:
    """Where the small picture of a video is stored."""
    return f"{team_folder(team_id)}/thumbnails/{video_id}.jpg"


def restored_video_key(video_id: UUID) -> str:
    """Where a registered video is stored once its owner's object is gone and somebody uploaded the content again."""
    return f"teams/restored/{video_id}"


def run_folder(run_id: UUID) -> str:
    """The folder of everything that is stored of a run."""
    return f"runs/{run_id}"


def export_key(run_id: UUID) -> str:
    """Where the JSON Lines export of a run is stored."""
    return f"{run_folder(run_id)}/poses.jsonl"


def run_thumbnail_key(run_id: UUID) -> str:
    """Where the small picture of a run's video with its people is stored."""
    return f"{run_folder(run_id)}/thumbnail.jpg"


def weights_key(sha256: str) -> str:
    """Where the weights of a model are stored."""
    return f"models/{sha256}.onnx"


def is_own_key(key: str) -> bool:
    """Whether a key in Poseline's bucket is of what it writes; object stores differ in how they take `//` and `..`."""
    segments = [part for part in posixpath.normpath("/" + key).split("/") if part]
    return not segments or segments[0] in OWN_PREFIXES
