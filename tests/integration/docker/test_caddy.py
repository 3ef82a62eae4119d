"""docker/Caddyfile in a real Caddy, before the real application."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import urllib3
from websockets.sync.client import connect

from pipeline.core.roles import Role
from pipeline.db.accounts import set_role
from pipeline.db.engine import transaction
from pipeline.db.teams import ensure_team
from pipeline.local.ports import choose
from pipeline.services.system import System
from tests.support.harness import wait_until
from tests.support.live import hello
from tests.support.paths import ROOT
from tests.support.web import PASSWORD, account_id, make_team, served, with_password

CADDY = Path(sys.executable).with_name("caddy")


@contextmanager
def caddy(upstream: str, folder: Path) -> Iterator[int]:
    """Caddy before an application at `host:port`; gives its own port."""
    secure, plain, health = (choose(()) for _ in range(3))
    text = (ROOT / "docker" / "Caddyfile").read_text()
    for old, new in {
        "admin off": f"admin off\n\tdefault_bind 127.0.0.1\n\thttp_port {plain}",
        "web:8080": upstream,
        "127.0.0.1:8081": f"127.0.0.1:{health}",
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "Caddyfile").write_text(text)
    environment = {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "POSELINE_WEB_DOMAIN": f"localhost:{secure}",
    }
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [str(CADDY), "run", "--config", "Caddyfile"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{health}/"), 20, "Caddy")
        authority = next(folder.rglob("pki/authorities/local/root.crt"))
        wait_until(lambda: answers(f"https://localhost:{secure}/", ca_certs=str(authority)), 20, "its certificate")
        yield secure
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str, **options: str) -> bool:
    with suppress(urllib3.exceptions.HTTPError), urllib3.PoolManager(retries=False, **options) as pool:
        return pool.request("GET", url).status == 200
    return False


@pytest.mark.skipif(not CADDY.exists(), reason="there is no Caddy for this system")
def test_sessions_are_secure_behind_caddy(system: System, tmp_path: Path) -> None:
    with_password(system, "coach@example.org")
    with transaction(system.engine) as connection:
        set_role(connection, ensure_team(connection, "club"), account_id(system, "coach@example.org"), Role.COACH)
    with served(system, trusted_proxies="127.0.0.1") as origin, caddy(origin.removeprefix("http://"), tmp_path) as port:
        root = next(tmp_path.rglob("pki/authorities/local/root.crt"))
        browser = urllib3.PoolManager(ssl_context=ssl.create_default_context(cafile=str(root)), retries=False)
        url = f"https://localhost:{port}"
        signed_in = browser.request(
            "POST",
            f"{url}/api/v1/session",
            json={"email": "coach@example.org", "password": PASSWORD},
            headers={"Origin": url},
        )
        assert signed_in.status == 200, signed_in.data
        cookie = signed_in.headers["set-cookie"]
        assert cookie.startswith("__Host-poseline=")
        assert "Secure" in cookie
        assert signed_in.headers["strict-transport-security"]
        foreign = browser.request(
            "DELETE", f"{url}/api/v1/session", headers={"Origin": "https://localhost", "Cookie": cookie.split(";")[0]}
        )
        assert foreign.status == 403, "another port of this host is another site"
        sent = {"Cookie": cookie.partition(";")[0], "Origin": url}
        with connect(
            f"wss://localhost:{port}/api/v1/teams/{make_team(system, 'club')}/live",
            ssl=ssl.create_default_context(cafile=str(root)), additional_headers=sent, proxy=None,
        ) as camera:  # fmt: skip
            camera.send(hello().to_text())
            assert "no live process runs" in camera.recv(10)
        page = browser.request("GET", url, headers={"Accept-Encoding": "gzip"})
        assert (page.status, page.headers["cache-control"]) == (200, "no-cache")
