"""`poseline live --camera` and the client behind it, against a real web and live process whose model reads numbers."""

from __future__ import annotations

import asyncio
import json
import shlex
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.bench.slow_network import Network, slowed
from pipeline.core.live_latency import TOTAL
from pipeline.core.live_protocol import Codec, Mode
from pipeline.core.live_results import Fate
from pipeline.core.roles import Role
from pipeline.remote.live_door import Way
from pipeline.remote.live_frames import Answer
from pipeline.remote.live_stream import Report, stream
from pipeline.remote.login import Login, write_login
from pipeline.video.camera_source import CameraPicture
from tests.integration.live.conftest import Place
from tests.support.commands import printed, said
from tests.support.harness import sql
from tests.support.keys import make_key
from tests.support.live import H264Camera, JpegCamera, hello, number_of
from tests.support.oracle_maker import LYING, read_pose
from tests.support.paths import ROOT
from tests.support.video_maker import make_video, paint

DOCS = (ROOT / "docs/live.md").read_text()


@pytest.fixture
def home(team_of_its_own: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that is signed in with a key of a coach."""
    for name in ("POSELINE_DATABASE_URL", "POSELINE_HOME"):
        monkeypatch.delenv(name, raising=False)
    place = team_of_its_own
    write_login(tmp_path / "home", Login(place.origin, "ours", str(place.team), "coach", place.key))
    return tmp_path / "home"


def test_a_file_is_sent_and_its_poses_are_written_like_an_export(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = make_video(tmp_path / "numbers.mp4", 30), tmp_path / "poses.jsonl"
    args = ("live", "--home", str(home), "--camera", str(video), "--codec", "jpeg", "--out", str(out))
    report = printed(capsys, *args)
    fates = report["fates"]
    assert report["agree"] is True
    assert report["reason"] == ""
    assert fates["captured"] == 30 == fates["dropped"] + fates["sent"]
    assert fates["sent"] == fates["analysed"] + fates["superseded"]
    assert report["spread_ms"][TOTAL]["p95"] >= report["spread_ms"]["process"]["median"] > 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == fates["analysed"] > 3
    frames = [line["frame"] for line in lines]
    assert frames == sorted(set(frames))
    for line in lines:
        assert line.keys() == {"frame", "pts", "time_s", "people"}
        [person] = line["people"]
        assert read_pose(np.array(person["keypoints"], np.float32), *LYING) == line["frame"]


def test_the_commands_in_the_docs_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "match.mp4", 12)
    commands = [
        shlex.split(line)[2:] for line in DOCS.splitlines() if line.startswith("$ poseline live --camera match")
    ]
    assert len(commands) == 3
    for command in commands:
        text = said(capsys, *command, "--home", str(home))
        assert "process" in text
        assert "the server counted the same" in text
        assert ("kept as video" in text) == ("--keep" in command)
    assert (tmp_path / "poses.jsonl").read_text().count("\n") > 0


def test_the_program_in_the_docs_runs(
    team_of_its_own: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin, team, _ = team_of_its_own.door
    names: dict[str, Any] = {}
    exec(DOCS.partition("```python\n")[2].partition("```")[0], names)
    url = f"{origin.replace('http', 'ws', 1)}/api/v1/teams/{team}/live"
    report = names["send"](make_video(tmp_path / "match.mp4", 12), url, team_of_its_own.key)
    assert report.agree
    assert capsys.readouterr().out.count("ANALYSED") == report.fates.analysed > 0


def test_what_cannot_be_is_said_in_one_line(
    home: Path, team_of_its_own: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(make_video(tmp_path / "numbers.mp4", 3))
    camera = ("live", "--home", str(home), "--camera", video)
    assert "leave --team out" in said(capsys, *camera, "--team", "theirs", code=2)
    assert "--port is of the live process" in said(capsys, *camera, "--port", "1", code=2)
    assert "cannot be written" in said(capsys, *camera, "--out", str(tmp_path), code=2)
    place = team_of_its_own
    viewer = make_key(place.system, "ours", Role.VIEWER)
    write_login(home, Login(place.origin, "ours", str(place.team), "viewer", viewer))
    assert said(capsys, *camera, code=2).count("\n") == 1
    write_login(home, Login("http://127.0.0.1:9", "ours", str(place.team), "coach", place.key))
    assert "http://127.0.0.1:9 does not answer" in said(capsys, *camera, code=1)


def test_no_redirect_is_followed_for_it_would_carry_the_key_elsewhere(
    home: Path, team_of_its_own: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"{place.origin}{self.path}".replace("http", "ws", 1))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    place = team_of_its_own
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write_login(home, Login(f"http://127.0.0.1:{server.server_port}", "ours", str(place.team), "coach", place.key))
        video = str(make_video(tmp_path / "numbers.mp4", 3))
        told = said(capsys, "live", "--home", str(home), "--camera", video, code=2)
        server.shutdown()
    assert f"sends to '{place.origin.replace('http', 'ws', 1)}/api/v1/teams/" in told
    assert len(asked) == 1
    assert sql(place.system, "SELECT 1 FROM live_session WHERE team_id = :team", team=place.team) == []


def test_each_picture_comes_back_with_its_own_poses_and_its_stages_add_up(team_of_its_own: Place) -> None:
    origin, team, headers = team_of_its_own.door
    way = Way(f"{origin.replace('http', 'ws', 1)}/api/v1/teams/{team}/live", headers)
    camera, answers = H264Camera(), list[Answer[CameraPicture]]()

    async def use() -> Report:
        return await stream(
            [way],
            hello(Codec.H264, mode=Mode.FULL),
            (CameraPicture(n, n, n / 60, paint(n, *LYING)) for n in range(1, 41)),
            lambda picture, keyframe: camera.encode(picture.number, keyframe=keyframe),
            on_answer=answers.append,
        )

    report = asyncio.run(use())
    assert report.agree
    assert report.fates.captured == 40
    analysed = [answer for answer in answers if answer.result.fate is Fate.ANALYSED]
    assert len(analysed) == report.fates.analysed > 3
    for answer in analysed:
        assert number_of(answer.result) == answer.picture.number == answer.result.id
        assert answer.trip_ms is not None
        stages = {stage: ms for stage, ms in answer.trip_ms.items() if stage != TOTAL}
        assert sum(stages.values()) == pytest.approx(answer.trip_ms[TOTAL])
        assert min(ms for stage, ms in stages.items() if stage not in {"upload", "download"}) >= 0


def test_frames_that_were_under_way_when_the_connection_was_lost_are_counted_as_lost(team_of_its_own: Place) -> None:
    origin, team, headers = team_of_its_own.door
    camera, answers = JpegCamera(), list[Answer[CameraPicture]]()

    async def use() -> Report:
        enough = asyncio.Event()

        def take(answer: Answer[CameraPicture]) -> None:
            answers.append(answer)
            if len(answers) == 3:
                enough.set()

        async with slowed(int(origin.rpartition(":")[2]), Network(20, 100)) as port:
            streaming = asyncio.create_task(
                stream(
                    [Way(f"ws://127.0.0.1:{port}/api/v1/teams/{team}/live", headers)],
                    hello(),
                    (CameraPicture(n, n, n / 60, paint(n, *LYING)) for n in range(1, 10_000)),
                    lambda picture, keyframe: camera.encode(picture.number, keyframe=keyframe),
                    on_answer=take,
                )
            )
            await enough.wait()
        return await streaming

    report = asyncio.run(use())
    fates = report.fates
    assert report.agree is None
    assert "lost" in report.reason
    assert fates.captured == fates.dropped + fates.sent
    assert fates.sent == fates.analysed + fates.superseded + fates.failed + fates.lost
    assert len(answers) == fates.analysed + fates.superseded + fates.failed >= 3
