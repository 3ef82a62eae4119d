"""HEAD: what GET answers, without the content, to whom GET answers it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
import urllib3

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.analysis import analyse
from tests.support.endpoints import endpoints_of
from tests.support.harness import run_of, sql
from tests.support.two_teams import everybody, make_world
from tests.support.web import Client, make_team, signed_in

#: Of which some tell the time, or are of the content that is left out.
_MOMENTARY = {"date", "etag", "transfer-encoding"}


def asked(client: Client, method: str, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    """An answer whose content is not read yet."""
    sent = dict(headers)
    if client.key is not None:
        sent["Authorization"] = f"Bearer {client.key}"
    if client.cookies:
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    return urllib3.request(
        method, f"{client.origin}{path}", headers=sent, retries=False, preload_content=False, timeout=30
    )


def told(answer: urllib3.BaseHTTPResponse) -> tuple[int, dict[str, str]]:
    """Status and headers, but for what is another each time."""
    headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in _MOMENTARY}
    return answer.status, headers


def test_every_address_answers_it_as_get_to_everybody(system: System, origin: str) -> None:
    ours = make_world(system, origin, "lynx")
    names = {"viewer key", "share", "stranger"}
    people = [who for who in everybody(system, origin, ours) if who.name in names]
    assert len(people) == len(names)
    endpoints = [each for each in endpoints_of(Client(origin).get("/openapi.json"), ours.ids) if each.method == "GET"]
    assert len(endpoints) > 30
    for who in people:
        client = who.client()
        for endpoint in endpoints:
            path = endpoint.at(ours.ids)
            head = asked(client, "HEAD", path)
            assert head.read() == b""
            head.release_conn()
            get = asked(client, "GET", path)
            if "/previews/" not in path or get.status != 500:  # it cannot be drawn, which HEAD does not try
                assert told(head) == told(get), (who.name, path)
                assert head.headers.get("content-length") == get.headers.get("content-length"), path
            get.close()
    assert asked(Client(origin), "HEAD", "/api/v1/nothing").status == 404


def test_nothing_is_drawn_or_noted_and_a_whole_length_told(
    system: System, origin: str, short_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = analyse(system, short_clip, team="ours")
    team, video_id = make_team(system, "ours"), run_of(system, run_id).video_id
    coach = signed_in(system, origin, "coach@example.org", ours=Role.COACH)
    base = f"/api/v1/teams/{team}"
    media = asked(coach, "HEAD", f"{base}/videos/{video_id}/media", Range="bytes=0-9")
    assert (media.status, media.headers["content-length"]) == (200, str(short_clip.stat().st_size))
    assert media.headers["accept-ranges"] == "bytes"
    tag = media.headers["etag"]
    assert asked(coach, "HEAD", f"{base}/videos/{video_id}/media", **{"If-None-Match": tag}).status == 304
    export = asked(coach, "HEAD", f"{base}/runs/{run_id}/exports/csv")
    assert (export.status, export.headers["content-disposition"][:10]) == (200, "attachment")
    assert sql(system, "SELECT count(*) FROM audit WHERE action = 'export_downloaded'") == [(0,)]
    assert asked(coach, "GET", f"{base}/runs/{run_id}/exports/csv").status == 200
    assert sql(system, "SELECT count(*) FROM audit WHERE action = 'export_downloaded'") == [(1,)]
    monkeypatch.setattr("pipeline.api.exports.draw_apart", lambda *_args, **_more: pytest.fail("a video is drawn"))
    preview = asked(coach, "HEAD", f"{base}/runs/{run_id}/previews/video.mp4")
    assert (preview.status, preview.headers["content-type"]) == (200, "video/mp4")
    assert "content-length" not in preview.headers
    unknown = asked(coach, "HEAD", f"{base}/runs/{UUID(int=1)}/previews/video.mp4")
    assert (unknown.status, unknown.read()) == (404, b"")
