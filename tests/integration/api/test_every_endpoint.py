"""Every endpoint of the OpenAPI document, asked by everybody with their own ids and with another team's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

import pytest
import urllib3

from pipeline.api.access import ACCOUNT, KNOWN, OPERATOR, PUBLIC
from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.endpoints import Endpoint, endpoints_of
from tests.support.harness import sql
from tests.support.two_teams import Who, World, everybody, make_world
from tests.support.web import Client

OURS, THEIRS = "lynx", "zebra"
NO_TEAM = "there is no such team, or you are not in it"
#: What differs from one moment to the next.
MOMENT = re.compile(r'"\d{4}-\d\d-\d\d[T ][^"]*"')


@dataclass(frozen=True)
class Answer:
    """What somebody was told."""

    status: int
    body: str

    @property
    def detail(self) -> str:
        """The line of a problem; empty where it is none."""
        return str(json.loads(self.body).get("detail", "")) if self.body.startswith('{"type"') else ""


def ask(
    client: Client, endpoint: Endpoint, ids: Mapping[str, str], body_ids: Mapping[str, str] | None = None
) -> Answer:
    """One request; of a stream only its beginning."""
    headers = {"Origin": client.origin}
    if client.key is not None:
        headers["Authorization"] = f"Bearer {client.key}"
    if client.cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    body = endpoint.filled(ids)
    if body is not None and not isinstance(body, bytes):
        body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    answer = urllib3.request(
        endpoint.method, f"{client.origin}{endpoint.at(ids)}", body=body, headers=headers, retries=False,
        redirect=False, preload_content=False, timeout=30,
    )  # fmt: skip
    stream = answer.headers.get("content-type", "").startswith("text/event-stream")
    told = Answer(answer.status, "" if stream else answer.data.decode("utf-8", "replace"))
    answer.close() if stream else answer.release_conn()
    assert "unexpected-error" not in told.body, (str(endpoint), told)
    return told


def expected(endpoint: Endpoint, who: Who) -> int | None:  # noqa: PLR0911
    """The status with which somebody is refused; None for whom it lets in."""
    access = endpoint.access
    if access == PUBLIC:
        return None
    if who.kind == "nobody":
        return 401
    if access in {KNOWN, ACCOUNT, OPERATOR}:
        if who.kind == "share":
            return 401
        if access == KNOWN:
            return None
        return None if who.kind == "account" and (access == ACCOUNT or who.operator) else 403
    words = access.split()
    if who.kind == "share":
        return None if "share" in words and "{video_id}" in endpoint.path else 404
    if who.role is None:
        return 404
    allowed = who.role.includes(Role(words[0])) and not (who.kind == "key" and "keys" in words)
    return None if allowed else 403


def nameless(answer: Answer, ids: Mapping[str, str]) -> Answer:
    """An answer without the ids that were asked for."""
    body = answer.body
    for each in ids.values():
        body = body.replace(each, "ID").replace(each[:8], "ID")
    return Answer(answer.status, body)


def rows_of(system: System, world: World) -> dict[str, list[str]]:
    """Every row that belongs to a team, by table."""
    tables = sql(system, "SELECT table_name FROM information_schema.columns WHERE column_name = 'team_id' "
                         "AND table_schema = 'public' AND table_name IN "
                         "(SELECT tablename FROM pg_tables WHERE schemaname = 'public') ORDER BY 1")  # fmt: skip
    found = {
        str(name): sorted(map(str, sql(system, f"SELECT * FROM {name} WHERE team_id = :id", id=world.team_id)))
        for (name,) in tables
    }
    of_video = "SELECT id, revoked_at FROM share WHERE video_id = :id"
    return {**found, "share": sorted(map(str, sql(system, of_video, id=world.ids["video_id"])))}


@pytest.fixture
def ours(system: System, origin: str) -> World:
    """The team from which everybody asks."""
    return make_world(system, origin, OURS)


@pytest.fixture
def endpoints(origin: str, ours: World) -> list[Endpoint]:
    """Every endpoint that there is."""
    found = list(endpoints_of(Client(origin).get("/openapi.json"), ours.ids))
    assert {each.access for each in found} >= {PUBLIC, KNOWN, ACCOUNT, OPERATOR, *map(str, Role)}
    return found


def lists(endpoints: list[Endpoint], people: list[Who], ids: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """What everybody reads at every address that only reads, but for the time."""
    for endpoint in endpoints:
        if endpoint.method == "GET":
            for who in people:
                told = ask(who.client(), endpoint, ids)
                yield f"{endpoint} as {who.name}", Answer(told.status, MOMENT.sub('"then"', told.body))


def test_nothing_of_another_team_is_readable_or_countable(
    system: System, origin: str, ours: World, endpoints: list[Endpoint]
) -> None:
    people = [who for who in everybody(system, origin, ours) if who.role is not None or who.operator]
    clients = {who.name: who.client() for who in people}
    people = [Who(who.name, who.kind, lambda who=who: clients[who.name], who.role, who.operator) for who in people]
    alone = dict(lists(endpoints, people, ours.ids))
    theirs = make_world(system, origin, THEIRS)
    beside = dict(lists(endpoints, people, ours.ids))
    # What is downloaded here is in its own team's log afterwards; all else stays as it was.
    differs = {where for where in alone if alone[where] != beside[where] and "/audit " not in where}
    assert differs == set(), "what a team is told depends on another team"
    assert any(OURS in answer.body for answer in beside.values())
    for where, answer in beside.items():
        assert THEIRS not in answer.body, where
        assert not any(each in answer.body for each in theirs.ids.values()), where


def test_everybody_may_what_the_document_says_and_nothing_of_another_team(
    system: System, origin: str, ours: World, endpoints: list[Endpoint]
) -> None:
    theirs = make_world(system, origin, THEIRS)
    before = rows_of(system, theirs)
    missing = {name: str(uuid4()) for name in ours.ids}
    every = {**{f"a{name}": each for name, each in missing.items()}, **theirs.ids}
    people = everybody(system, origin, ours)
    as_missing: dict[tuple[str, bool, int], Answer] = {}
    standing = {who.name: who.client() for who in people}
    wrong: list[str] = []

    def check(holds: bool, endpoint: Endpoint, who: Who, what: object) -> None:
        if not holds:
            wrong.append(f"{endpoint} ({endpoint.access}) as {who.name}: {what}")

    for endpoint in endpoints:
        allowed = [who for who in people if expected(endpoint, who) is None]
        for who in [who for who in people if who not in allowed] + allowed:
            client = standing[who.name]
            if "team_id" in endpoint.ids:
                foreign = ask(client, endpoint, theirs.ids)
                status = 401 if who.kind == "nobody" else 404
                check(foreign.status == status, endpoint, who, foreign)
                if (key := (str(endpoint), "key" in who.name, status)) not in as_missing:
                    as_missing[key] = nameless(ask(client, endpoint, missing), every)
                check(nameless(foreign, every) == as_missing[key], endpoint, who, (foreign, as_missing[key]))
                check(THEIRS not in foreign.body, endpoint, who, foreign)
            if who in allowed and (endpoint.method == "GET" or who is allowed[-1]):
                for name in {*endpoint.ids, *endpoint.body_ids(ours.ids)} - {"team_id"}:
                    pair = [
                        nameless(ask(client, endpoint, {**ours.ids, name: ids[name]}), every)
                        for ids in (theirs.ids, missing)
                    ]
                    check(pair[0] == pair[1], endpoint, who, (name, pair))
            told = ask(client, endpoint, ours.ids)
            check(THEIRS not in told.body, endpoint, who, told)
            refusal = expected(endpoint, who)
            if refusal is not None:
                check(told.status == refusal, endpoint, who, told)
            elif endpoint.access != PUBLIC:
                check(told.status not in {401, 403} and told.detail != NO_TEAM, endpoint, who, told)
            if refusal is None and endpoint.method != "GET":
                standing[who.name] = who.client()  # it may have ended the session by it, or left the team
    assert wrong == []
    assert rows_of(system, theirs) == before, "something of the other team changed"


def test_a_parameter_that_the_walk_does_not_know_fails_with_what_to_add() -> None:
    parameter = {"name": "thing_id", "in": "path", "schema": {"type": "string", "format": "uuid"}}
    paths = {"/things/{thing_id}": {"get": {"x-access": "viewer", "parameters": [parameter]}}}
    with pytest.raises(pytest.fail.Exception, match=r"no value for {thing_id}.*name it in `ids`"):
        list(endpoints_of({"components": {"schemas": {}}, "paths": paths}, {"team_id": "1"}))
