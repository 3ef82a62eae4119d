"""Small pictures of videos: there once a video is ingested, drawn once, gone with what they show."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest

from pipeline.core.object_keys import run_thumbnail_key, thumbnail_key
from pipeline.core.retention import Kind
from pipeline.db.engine import transaction
from pipeline.db.originals import hold_original
from pipeline.errors import NotFound, OriginalRemoved, ServiceUnavailable
from pipeline.services.finish import finish_run
from pipeline.services.picture_drawers import Picture, PictureDrawers
from pipeline.services.preview import draw_thumbnail
from pipeline.services.retention import set_retention
from pipeline.services.retention_sweep import run_retention
from pipeline.services.system import System
from pipeline.services.thumbnails import Thumbnails
from tests.support.analysis import analyse
from tests.support.erased import erase, is_gone
from tests.support.harness import run_of, wait_until
from tests.support.kept import age, keys
from tests.support.video_maker import make_video, read_number
from tests.support.web import make_team

#: For all tests here: a process takes a second to start.
DRAWERS = PictureDrawers()


@pytest.fixture(scope="module", autouse=True)
def drawers() -> Iterator[None]:
    yield
    DRAWERS.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A short clip with a keyframe every 12 frames, its frames numbered."""
    return make_video(tmp_path / "clip.mp4", 60)


def ask(system: System, team_id: UUID, video_id: UUID, *, team: str = "team") -> tuple[UUID, bytes]:
    """As a web process that has just started."""
    return Thumbnails(DRAWERS).of_video(system, team_id, video_id, team=team)


def test_it_is_there_before_a_run_is_done_and_then_shows_its_people(system: System, clip: Path) -> None:
    run_id = analyse(system, clip, finish=False)
    team_id, video_id = make_team(system, "team"), run_of(system, run_id).video_id
    shown, still = ask(system, team_id, video_id)
    image = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)
    assert (shown, image.shape[:2]) == (video_id, (96, 160))
    assert read_number(image.astype(np.uint8)) == 12, "the keyframe at a third"
    finish_run(system, run_id, "w")
    shown, with_people = ask(system, team_id, video_id)
    assert shown == run_id
    assert with_people != still
    with pytest.raises(NotFound):
        ask(system, make_team(system, "other"), video_id, team="other")


def test_it_is_drawn_once_and_read_from_the_store_by_the_next_web_process(system: System, clip: Path) -> None:
    run_id = analyse(system, clip)
    team_id, video_id = make_team(system, "team"), run_of(system, run_id).video_id
    pictures = Thumbnails(DRAWERS)
    drawn = pictures.of_video(system, team_id, video_id, team="team")
    other = b"another picture"
    system.store.put_stream(io.BytesIO(other), len(other), run_thumbnail_key(run_id), content_type="image/jpeg")
    assert ask(system, team_id, video_id) == (run_id, other)
    assert pictures.of_video(system, team_id, video_id, team="team") == drawn, "the first has it in memory"


def test_few_processes_draw_apart_go_on_while_there_is_more_and_end(
    system: System, clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = analyse(system, clip)
    wanted = Picture("team", run_id=run_id)
    with closing(PictureDrawers(at_once=2)) as drawers:
        with ThreadPoolExecutor(4) as pool:
            drawn = set(pool.map(lambda _: drawers.draw(system, wanted), range(4)))
        pids = drawers.pids
        assert drawn == {draw_thumbnail(system, run_id, team="team")}
        assert 1 <= len(pids) <= 2
        with pytest.raises(NotFound, match="or is another team's"):
            drawers.draw(system, Picture("other", run_id=run_id))
        assert drawers.draw(system, wanted) in drawn
        assert set(drawers.pids) == set(pids), "none was started for it"
        # One that the system ends for want of memory costs a start.
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert drawers.draw(system, wanted) in drawn
        assert not set(drawers.pids) <= set(pids)
    with closing(PictureDrawers(idle_s=0.2)) as brief:
        for _ in range(2):
            assert brief.draw(system, wanted) in drawn
            wait_until(lambda: brief.pids == [], 20)
    wait_until(lambda: drawers.pids == [], 20)
    with pytest.raises(ServiceUnavailable, match="this server stops"):
        drawers.draw(system, wanted)
    err = capfd.readouterr().err
    assert "Exception in thread" not in err
    assert "picture_process" not in err


def test_the_process_that_asks_loads_nothing_that_draws(system: System, clip: Path) -> None:
    run_id = analyse(system, clip)
    team_id, video_id = make_team(system, "team"), run_of(system, run_id).video_id
    asks = (
        "import json, sys; from uuid import UUID; from contextlib import closing\n"
        "from pipeline.services.system import build_system; from pipeline.services.thumbnails import Thumbnails\n"
        "from pipeline.settings import Settings; settings, team_id, video_id = json.load(sys.stdin)\n"
        "with closing(build_system(Settings.received(settings))) as system, closing(Thumbnails()) as pictures:\n"
        "    _, picture = pictures.of_video(system, UUID(team_id), UUID(video_id), team='team')\n"
        "print(picture[:2].hex(), sorted({'cv2', 'av'} & set(sys.modules)))\n"
    )
    request = json.dumps([system.settings.handed_on(), str(team_id), str(video_id)])
    told = subprocess.run([sys.executable, "-c", asks], input=request, capture_output=True, text=True, check=True)
    assert told.stdout == "ffd8 []\n"


def test_it_goes_with_what_it_shows(system: System, tmp_path: Path) -> None:
    runs = [analyse(system, make_video(tmp_path / f"{n}.mp4", 60 + n), finish=False) for n in range(2)]
    team_id, videos = make_team(system, "team"), [run_of(system, run_id).video_id for run_id in runs]
    for run_id, video_id in zip(runs, videos, strict=True):
        ask(system, team_id, video_id)
        finish_run(system, run_id, "w")
        ask(system, team_id, video_id)
        assert {thumbnail_key(team_id, video_id), run_thumbnail_key(run_id)} < set(keys(system, video_id, run_id))
    erase(system, "0.mp4", team="team")
    assert is_gone(system, videos[0], runs[0])
    age(system, "video", "original_at", videos[1], 31)
    set_retention(system, "team", Kind.ORIGINALS, 30)
    run_retention(system, "team")
    assert [key for key in keys(system, videos[1], runs[1]) if key.endswith(".jpg")] == []
    with pytest.raises(OriginalRemoved):
        ask(system, team_id, videos[1])
    with transaction(system.engine) as connection:  # so one that is being drawn meanwhile is not stored
        assert not hold_original(connection, videos[1], runs[1])
        assert not hold_original(connection, videos[0])
