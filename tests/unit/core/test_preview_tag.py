"""The mark of a preview: read in videos and pictures, and only for the run that it names."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import cv2
import numpy as np

from pipeline.core.preview_tag import is_preview_of, preview_tag, with_preview_tag


def test_a_picture_with_the_mark_is_the_same_picture(tmp_path: Path) -> None:
    image = np.random.default_rng(7).integers(0, 256, (40, 60, 3), np.uint8)
    plain = cv2.imencode(".png", image)[1].tobytes()
    run_id = uuid4()
    path = tmp_path / "sheet.png"
    path.write_bytes(with_preview_tag(plain, run_id))
    read = cv2.imread(str(path))
    assert read is not None
    assert np.array_equal(read, image)
    assert is_preview_of(path, run_id)
    assert not is_preview_of(path, uuid4())


def test_any_other_file_is_no_preview(tmp_path: Path) -> None:
    path = tmp_path / "match.mp4"
    run_id = uuid4()
    for content in (b"", b"\0" * 99, b"Poseline preview of run", preview_tag(uuid4()).encode()):
        path.write_bytes(content)
        assert not is_preview_of(path, run_id)
    path.write_bytes(b"\0" * 99 + preview_tag(run_id).encode() + b"\0")
    assert is_preview_of(path, run_id)
