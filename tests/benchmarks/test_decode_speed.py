"""The goals of decoding, ingest and memory, at full size. Takes minutes on a quiet machine; not in `make test`."""

from __future__ import annotations

import pytest

from pipeline.bench.decode import measure_decode
from tests.benchmarks.ingest import ingest_ratio, peak_memory, stored_loop
from tests.benchmarks.sample_videos import RATE, make_clip
from tests.support.harness import environment

MOST_MEMORY_MB = 50.0
SHORT_S, LONG_S, CLIP_S, CHUNKS = 120, 7200, 10, 60


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("height", [1080, 720])
def test_decoding(system, tmp_path, height):
    clip = make_clip(tmp_path / "clip.mp4", width=height * 16 // 9, height=height, frames=360)
    figures = measure_decode(clip, system.limits, side_px=384, pairs=5, on_step=print)
    print(*figures, sep="\n")  # noqa: T201  shown with a failure
    assert [figure.name for figure in figures if figure.met is False] == []


@pytest.mark.timeout(1800)
def test_ingest(system, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", width=1920, height=1080, frames=360)
    with stored_loop(system, clip, 24) as source:
        print(f"ingest over reading and hashing {source.size_bytes / 1e6:.0f} MB:", ingest_ratio(system, source, 5))  # noqa: T201


@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_video(system, settings, monkeypatch, tmp_path):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    clip = make_clip(tmp_path / "clip.mp4", width=640, height=360, frames=CLIP_S * RATE, crf=42)
    peaks = []
    for span_s in (LONG_S, SHORT_S):
        with stored_loop(system, clip, span_s // CLIP_S) as source:
            peaks.append(peak_memory(system, source, CHUNKS))
    more_mb = [(long - short) / 1e6 for long, short in zip(*peaks, strict=True)]
    assert max(more_mb) < MOST_MEMORY_MB
