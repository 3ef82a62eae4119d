"""What changes of a team's videos, as events and asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from pipeline.core.roles import Role
from pipeline.core.tags import parse_tags
from pipeline.services.system import System
from pipeline.services.tags import tag_video
from tests.support.analysis import analyse
from tests.support.harness import cut, sql
from tests.support.keys import make_key
from tests.support.web import Client, make_team, served, signed_in


def iter_events(client: Client, path: str, **headers: str) -> Iterator[tuple[str, Any]]:
    """The ids and the data of events, until the stream ends."""
    sent = {"Authorization": f"Bearer {client.key}", **headers}
    answer = urllib3.request("GET", f"{client.origin}/api/v1{path}", headers=sent, preload_content=False, timeout=20)
    assert answer.status == 200
    waiting = b""
    for piece in answer.stream(64 * 1024):
        waiting += piece
        while b"\n\n" in waiting:
            block, _, waiting = waiting.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
            if "data" in fields:
                yield fields["id"], json.loads(fields["data"])


def test_changes_are_told_once_each(system: System, origin: str, short_clip: Path, tmp_path: Path) -> None:
    club = make_team(system, "club")
    viewer = signed_in(system, origin, "v@example.org", club=Role.VIEWER)
    first = viewer.get(f"/teams/{club}/changes")
    assert (first["videos"], first["count"]) == ([], 0)
    analyse(system, short_clip, team="club")
    analyse(system, cut(short_clip, tmp_path / "theirs.mp4", 30), team="rivals", put=False)
    after = viewer.get(f"/teams/{club}/changes?after={quote(first['next'])}")
    assert [(video["name"], video["state"]) for video in after["videos"]] == [("short.mp4", "done")]
    assert (after["count"], after["complete"]) == (1, True)
    rest = viewer.get(f"/teams/{club}/changes?after={quote(after['next'])}")
    assert rest["videos"] == []
    tag_video(system, "short", team="club", tags=parse_tags(["season=2026"]))
    (tagged,) = viewer.get(f"/teams/{club}/changes?after={quote(rest['next'])}")["videos"]
    assert tagged["tags"] == {"season": "2026"}
    assert viewer.ask("GET", f"/teams/{club}/changes?after=yesterday").status == 400


def test_a_change_that_is_committed_late_is_not_missed(system: System, origin: str, short_clip: Path) -> None:
    analyse(system, short_clip, team="club")
    club = make_team(system, "club")
    viewer = signed_in(system, origin, "v@example.org", club=Role.VIEWER)
    with system.engine.connect() as slow:
        slow.exec_driver_sql('UPDATE video SET tags = \'{"late": "yes"}\'')
        meanwhile = viewer.get(f"/teams/{club}/changes")
        slow.commit()
    (video,) = viewer.get(f"/teams/{club}/changes?after={quote(meanwhile['next'])}")["videos"]
    assert video["tags"] == {"late": "yes"}


def test_progress_comes_as_events_from_one_poller(system: System, origin: str, short_clip: Path) -> None:
    run_id = analyse(system, short_clip, team="club", chunks=[0])
    club = make_team(system, "club")
    viewer = Client(origin, key=make_key(system, "club", Role.VIEWER))
    streams = [iter_events(viewer, f"/teams/{club}/events") for _ in range(5)]
    told: list[Any] = [None] * 5

    def listen(at: int) -> None:
        told[at] = next(event for event in streams[at] if event[1]["videos"])

    threads = [threading.Thread(target=listen, args=(at,)) for at in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    (video,) = told[0][1]["videos"]
    assert (video["state"], video["run"]["frames_done"], video["run"]["frames"]) == ("running", 30, 120)
    assert len([one for one in threading.enumerate() if one.name == "changes"]) == 1
    sql(system, "UPDATE chunk SET frames_done = 7 WHERE run_id = :id AND idx = 0", id=run_id)
    event_id, data = next(streams[0])
    assert data["videos"][0]["run"]["frames_done"] == 7
    tag_video(system, "short", team="club", tags=parse_tags(["season=2026"]))
    since = iter_events(viewer, f"/teams/{club}/events", **{"Last-Event-ID": event_id})
    assert next(since)[1]["videos"][0]["tags"] == {"season": "2026"}


def test_who_may_not_listen_any_more_is_told_nothing(system: System, origin: str, short_clip: Path) -> None:
    analyse(system, short_clip, team="club")
    club = make_team(system, "club")
    viewer = Client(origin, key=make_key(system, "club", Role.VIEWER))
    stream = iter_events(viewer, f"/teams/{club}/events", **{"Last-Event-ID": "2020-01-01T00:00:00Z"})
    next(stream)
    sql(system, "UPDATE api_key SET revoked_at = now()")
    begun, told = time.monotonic(), 0
    while time.monotonic() - begun < 20:
        tag_video(system, "short", team="club", tags=parse_tags([f"number={told}"]))
        if next(stream, None) is None:
            break
        told += 1
    assert told <= 3, "a second between events, and two until it is asked for again"
    assert time.monotonic() - begun < 10


def test_streams_end_when_the_server_does(system: System) -> None:
    club = make_team(system, "club")
    ended: list[float] = []
    with served(system) as origin:
        viewer = Client(origin, key=make_key(system, "club", Role.VIEWER))
        begun = threading.Event()

        def listen() -> None:
            stream = iter_events(viewer, f"/teams/{club}/events", **{"Last-Event-ID": "2020-01-01T00:00:00Z"})
            next(stream)
            begun.set()
            assert next(stream, None) is None
            ended.append(time.monotonic())

        listener = threading.Thread(target=listen)
        listener.start()
        assert begun.wait(10)
        asked = time.monotonic()
    listener.join(10)
    assert ended
    assert max(ended[0], time.monotonic()) - asked < 4
