"""Sign in and out, and what is refused."""

from __future__ import annotations

import gzip
import math
import re
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import urllib3

from pipeline.core.roles import Role
from pipeline.services.system import System
from tests.support.harness import sql
from tests.support.web import PASSWORD, Client, make_team, served, signed_in, with_password


def test_a_browser_signs_in_and_out(system: System, origin: str) -> None:
    with_password(system, "coach@example.org")
    browser = Client(origin)
    assert browser.get("/session")["kind"] == "nobody"
    wrong = browser.ask("POST", "/session", {"email": "coach@example.org", "password": "wrong"})
    assert (wrong.status, wrong.headers["content-type"]) == (401, "application/problem+json")
    nobody = browser.ask("POST", "/session", {"email": "nobody@example.org", "password": PASSWORD})
    assert nobody.json() == wrong.json()
    right = browser.ask("POST", "/session", {"email": "Coach@Example.org ", "password": PASSWORD})
    assert right.status == 200
    assert "HttpOnly" in right.headers["set-cookie"]
    assert browser.get("/session")["email"] == "coach@example.org"
    assert sql(system, "SELECT count(*) FROM web_session WHERE token_sha256 = :token",
               token=browser.cookies["poseline"]) == [(0,)]  # fmt: skip
    stolen = dict(browser.cookies)
    assert browser.ask("DELETE", "/session").status == 204
    assert Client(origin, cookies=stolen).get("/session")["kind"] == "nobody"
    assert Client(origin, cookies=stolen).ask("GET", "/teams").status == 401


def test_passwords_cannot_be_tried_without_end(system: System, origin: str) -> None:
    with_password(system, "coach@example.org")
    browser = Client(origin)
    answers = [
        browser.ask("POST", "/session", {"email": "coach@example.org", "password": f"guess {number}"}).status
        for number in range(8)
    ]
    assert answers[:6] == [401] * 6
    assert answers[-1] == 429
    refused = browser.ask("POST", "/session", {"email": "coach@example.org", "password": PASSWORD})
    assert refused.status == 429, "the right one is not told from wrong ones meanwhile"
    assert int(refused.headers["retry-after"]) >= 1


def test_passwords_that_come_at_once_are_counted_as_those_that_come_one_by_one(system: System, origin: str) -> None:
    with_password(system, "coach@example.org")
    wrong = {"email": "coach@example.org", "password": "a guess of many"}
    began = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: Client(origin).ask("POST", "/session", wrong).status, range(40)))
    assert set(answers) <= {401, 429, 503}
    # Five are free and the sixth begins to wait: for 1 s, then 2, then 4, which may end while the 40 are on their way.
    assert answers.count(401) <= 6 + int(math.log2(time.monotonic() - began + 1))


def test_the_right_password_counts_neither_for_the_account_nor_for_the_address(system: System, origin: str) -> None:
    with_password(system, "coach@example.org")
    browser = Client(origin)
    assert browser.ask("POST", "/session", {"email": "nobody@example.org", "password": "wrong"}).status == 401
    sql(system, "UPDATE sign_in_failure SET failures = 20")
    right = {"email": "coach@example.org", "password": PASSWORD}
    assert [browser.ask("POST", "/session", right).status for _ in range(2)] == [200] * 2
    assert sql(system, "SELECT failures FROM sign_in_failure") == [(20,), (20,)]
    assert sql(system, "SELECT count(*) FROM web_session") == [(1,)], "each ends the one before it in this browser"


def test_what_is_no_id_or_no_text_is_no_error_of_the_server(system: System, origin: str) -> None:
    team = make_team(system, "ours")
    browser = signed_in(system, origin, "coach@example.org", ours=Role.OWNER)
    for path in ("/teams/x/videos", "/teams/%00/members", "/teams/{}/keys"):
        assert browser.ask("GET", path).status in {404, 422}, path
    assert browser.ask("GET", f"/teams/{team}/videos?name=%00").status == 400
    assert browser.ask("POST", f"/teams/{team}/keys", {"name": "a\0b"}).status == 400


def test_no_body_is_read_that_is_longer_than_any_may_be(origin: str) -> None:
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        body = iter([b" " * 2**16] * 64) if headers else b" " * 2**22
        answer = urllib3.request(
            "POST", f"{origin}/api/v1/session", body=body, headers={"Content-Type": "application/json", **headers}
        )
        assert answer.status == 413
        assert "at most 1 MiB" in answer.json()["detail"]


def test_another_sites_page_cannot_do_anything(system: System, origin: str) -> None:
    browser = signed_in(system, origin, "coach@example.org")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = browser.ask("DELETE", "/session", headers=headers)
        assert (answer.status, answer.json()["type"]) == (403, "urn:poseline:foreign-request")
    assert browser.get("/session")["email"] == "coach@example.org"


def test_a_team_is_seen_by_its_members_alone(system: System, origin: str) -> None:
    ours, theirs = make_team(system, "ours"), make_team(system, "theirs")
    browser = signed_in(system, origin, "coach@example.org", ours=Role.VIEWER)
    signed_in(system, origin, "other@example.org", theirs=Role.OWNER)
    assert [team["name"] for team in browser.get("/teams")["items"]] == ["ours"]
    assert [member["email"] for member in browser.get(f"/teams/{ours}/members")["items"]] == ["coach@example.org"]
    hidden = browser.ask("GET", f"/teams/{theirs}/members")
    assert hidden.status == 404
    assert hidden.json() == browser.ask("GET", f"/teams/{UUID(int=1)}/members").json()


def test_pages_are_served_under_their_policy(origin: str) -> None:
    for path in ("/", "/t/anything/videos"):
        page = urllib3.request("GET", f"{origin}{path}")
        assert (page.status, page.headers["cache-control"]) == (200, "no-cache")
        assert "default-src 'self'" in page.headers["content-security-policy"]
    asset = re.search(r"/assets/[^\"]+\.js", page.data.decode())
    assert asset is not None
    plain = urllib3.request("GET", f"{origin}{asset[0]}", decode_content=False)
    packed = urllib3.request("GET", f"{origin}{asset[0]}", headers={"Accept-Encoding": "gzip"}, decode_content=False)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert "immutable" in packed.headers["cache-control"]
    assert gzip.decompress(packed.data) == plain.data
    missing = urllib3.request("GET", f"{origin}/api/v1/nothing")
    assert (missing.status, missing.headers["content-type"]) == (404, "application/problem+json")


def test_the_word_of_a_proxy_counts_only_where_it_is_trusted(system: System, origin: str) -> None:
    def failures(at: str, forwarded: str) -> int:
        """In how many subjects a wrong password is counted that comes with this header."""
        sql(system, "DELETE FROM sign_in_failure")
        wrong = {"email": "nobody@example.org", "password": "wrong"}
        for number in range(2):
            sent = {"X-Forwarded-For": f"{forwarded}{number}", "X-Forwarded-Proto": "https", "Origin": at}
            assert Client(at).ask("POST", "/session", wrong, {**sent, "Sec-Fetch-Site": "same-origin"}).status == 401
        return len(sql(system, "SELECT * FROM sign_in_failure WHERE subject LIKE 'address %'"))

    assert failures(origin, "198.51.100.") == 1, "all come from loopback"
    with served(system, trusted_proxies="127.0.0.0/8") as behind:
        assert failures(behind, "198.51.100.") == 2
        # What browsers saw as https is another origin than http, and has a cookie that no http page can set.
        with_password(system, "coach@example.org")
        right = {"email": "coach@example.org", "password": PASSWORD}
        sent = {"X-Forwarded-Proto": "https", "Origin": behind.replace("http:", "https:")}
        assert "__Host-poseline=" in Client(behind).ask("POST", "/session", right, sent).headers["set-cookie"]
        assert Client(behind).ask("POST", "/session", right, {**sent, "Origin": behind}).status == 403
