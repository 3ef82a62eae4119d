"""Poseline: every person's pose in every frame of every team video.

`core` is pure; `video`, `inference`, `storage`, `db` and `queue` each hold one vendor library; `services` are the
use cases, one a file; `cli` and `local` are the edges. Nothing here imports `workers`.
"""

__version__ = "0.1.0"
