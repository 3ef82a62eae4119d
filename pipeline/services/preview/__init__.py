"""Draw a run's skeletons on its video: an annotated video, a contact sheet, a thumbnail."""

from __future__ import annotations

from pipeline.services.preview.request import (
    Preview,
    draw_thumbnail,
    draw_video_still,
    make_way,
    preview_ending,
    preview_run,
)

__all__ = ["Preview", "draw_thumbnail", "draw_video_still", "make_way", "preview_ending", "preview_run"]
