"""Webhooks: told once each run has ended, signed, tried again, and never sent into a private network."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.core.roles import Role
from pipeline.errors import UsageError
from pipeline.local.certificates import ensure_certificate
from pipeline.services.system import System
from pipeline.services.webhooks.deliver import BACKOFF_S, deliver_due
from pipeline.services.webhooks.target import check_url, resolve, send
from tests.support.analysis import analyse
from tests.support.harness import cut, sql
from tests.support.web import Client, make_team, served, signed_in


@dataclass
class Receiver:
    """A server of a team; it answers with `status`."""

    url: str = ""
    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that keeps what it is sent."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers), body))
            self.send_response(receiver.status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/poses?team=club"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


@pytest.fixture
def allowing(system: System) -> System:
    """The system of an operator who lets webhooks go to private networks."""
    return dataclasses.replace(system, settings=system.settings.model_copy(update={"webhook_private": True}))


@pytest.fixture
def owner(allowing: System) -> Iterator[Client]:
    """The owner of the team `club`."""
    with served(allowing) as origin:
        yield signed_in(allowing, origin, "owner@example.org", club=Role.OWNER)


def add(owner: Client, team: UUID, url: str) -> tuple[str, str]:
    answer = owner.ask("POST", f"/teams/{team}/webhooks", {"url": url})
    assert answer.status == 201, answer.data
    return answer.json()["id"], answer.json()["secret"]


def test_an_end_is_told_once_and_signed(
    allowing: System, owner: Client, receiver: Receiver, short_clip: Path, tmp_path: Path
) -> None:
    system, team = allowing, make_team(allowing, "club")
    analyse(system, cut(short_clip, tmp_path / "before.mp4", 15), team="club")
    webhook_id, secret = add(owner, team, receiver.url)
    run_id = analyse(system, short_clip, team="club", put=False)
    analyse(system, cut(short_clip, tmp_path / "theirs.mp4", 30), team="rivals", put=False)
    assert [deliver_due(system), deliver_due(system), len(receiver.got)] == [1, 0, 1]
    headers, body = receiver.got[0]
    signed = hmac.new(secret.encode(), headers["Poseline-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["Poseline-Signature"] == f"v1={signed}"
    told = json.loads(body)
    assert (told["event"], told["run"]["run_id"], told["run"]["frames"]) == ("run.done", str(run_id), 120)
    (delivery,) = owner.get(f"/teams/{team}/webhooks/{webhook_id}/deliveries")["items"]
    assert (delivery["answer"], delivery["attempts"], delivery["next_at"]) == ("answered 204", 1, None)
    assert [hook["url"] for hook in owner.get(f"/teams/{team}/webhooks")["items"]] == [receiver.url]
    assert secret not in str(owner.get(f"/teams/{team}/webhooks"))
    assert owner.ask("DELETE", f"/teams/{team}/webhooks/{webhook_id}").status == 204
    assert owner.ask("GET", f"/teams/{team}/webhooks/{webhook_id}/deliveries").status == 404
    assert owner.get(f"/teams/{team}/audit")["items"][0]["action"] == "webhook_changed"


def test_what_is_not_taken_is_tried_again_and_given_up(
    allowing: System, owner: Client, receiver: Receiver, short_clip: Path
) -> None:
    system, team = allowing, make_team(allowing, "club")
    webhook_id, _ = add(owner, team, receiver.url)
    receiver.status = 302  # a redirect is not followed
    run_id = analyse(system, short_clip, team="club", chunks=[])
    sql(system, "UPDATE run SET state = 'failed', reason = 'the decoder crashed', finished_at = now()")
    waits = []
    for _ in BACKOFF_S:
        assert deliver_due(system) == 1
        assert deliver_due(system) == 0
        ((wait_s,),) = sql(system, "SELECT extract(epoch FROM next_at - clock_timestamp()) FROM webhook_delivery")
        waits.append(round(float(str(wait_s))))
        sql(system, "UPDATE webhook_delivery SET next_at = clock_timestamp()")
    assert waits == [round(each) for each in BACKOFF_S]
    assert deliver_due(system) == 1
    (delivery,) = owner.get(f"/teams/{team}/webhooks/{webhook_id}/deliveries")["items"]
    assert (delivery["event"], delivery["run_id"], delivery["answer"]) == ("run.failed", str(run_id), "answered 302")
    assert (delivery["next_at"], delivery["delivered_at"], delivery["attempts"]) == (None, None, len(BACKOFF_S) + 1)
    assert json.loads(receiver.got[-1][1])["run"]["reason"] == "the decoder crashed"


def test_a_run_that_ends_in_a_slow_transaction_is_told(
    allowing: System, owner: Client, receiver: Receiver, short_clip: Path
) -> None:
    system, team = allowing, make_team(allowing, "club")
    add(owner, team, receiver.url)
    analyse(system, short_clip, team="club", chunks=[])
    with system.engine.connect() as slow:
        slow.exec_driver_sql("UPDATE run SET state = 'failed', finished_at = now()")
        assert deliver_due(system) == 0
        slow.commit()
    assert deliver_due(system) == 1


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org/", "https://127.0.0.1/", "https://localhost/", "https://10.1.2.3/", "https://[::1]/"),
        *("https://169.254.169.254/latest/meta-data", "https://[::ffff:192.168.0.1]/", "https://[fd00::1]/"),
        *("ftp://example.org/", "https://user:secret@example.org/", "https:///x", "https://0.0.0.0/", "nonsense"),
        *(
            "https://[64:ff9b::7f00:1]/",
            "https://[64:ff9b:1::1]/",
            "https://[2002:7f00:1::]/",
            "https://[::ffff:10.0.0.1]/",
        ),
    ],
)
def test_an_address_of_a_private_network_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url, private=False)


def test_a_name_that_leads_to_a_private_network_is_refused_when_it_is_sent(receiver: Receiver) -> None:
    with pytest.raises(UsageError, match="leads to a private network"):
        resolve("localhost", 443, private=False)
    assert send(receiver.url, b"{}", {}, private=False)[0] is False
    assert receiver.got == []
    assert send(receiver.url, b"{}", {}, private=True) == (True, "answered 204")


def test_the_certificate_of_the_name_is_checked_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = ensure_certificate(tmp_path / "tls", ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain)

    class Quiet(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        named, other = (f"https://{host}:{server.server_port}/" for host in ("localhost", "127.0.0.1"))
        try:
            assert send(named, b"{}", {}, private=True) == (False, "no answer: SSLError")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
            assert send(named, b"{}", {}, private=True) == (True, "answered 204")
            assert send(other, b"{}", {}, private=True) == (False, "no answer: SSLError")
        finally:
            server.shutdown()
            thread.join()


def test_only_owners_manage_webhooks(allowing: System, owner: Client) -> None:
    team = make_team(allowing, "club")
    coach = signed_in(allowing, owner.origin, "coach@example.org", club=Role.COACH)
    assert coach.ask("GET", f"/teams/{team}/webhooks").status == 403
    for number in range(10):
        add(owner, team, f"https://example.org/{number}")
    assert owner.ask("POST", f"/teams/{team}/webhooks", {"url": "https://example.org/x"}).status == 400
