"""`poseline web --tls`: a device that trusts the home's authority trusts the pages, and nothing else is asked."""

from __future__ import annotations

import ssl
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import urllib3

from pipeline.local import certificates
from pipeline.local.certificates import ensure_certificate, names_of_this_machine
from pipeline.local.ports import choose
from pipeline.services.system import System
from tests.support.harness import processes, wait_until

NAMES = ("localhost", "127.0.0.1", "laptop", "laptop.local")


def test_a_certificate_is_kept_until_it_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_certificate(tmp_path / "tls", NAMES)
    chain, authority = first.chain.read_bytes(), first.authority.read_bytes()
    assert ensure_certificate(tmp_path / "tls", NAMES[:2]).chain.read_bytes() == chain
    ensure_certificate(tmp_path / "tls", (*NAMES, "10.0.0.7"))
    renamed = first.chain.read_bytes()
    assert renamed != chain
    monkeypatch.setattr(certificates, "_RENEWED_BEFORE", certificates._VALID + timedelta(days=1))
    ensure_certificate(tmp_path / "tls", NAMES)
    assert first.chain.read_bytes() != renamed
    assert first.authority.read_bytes() == authority, "devices trust it already"
    for path in (tmp_path / "tls").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_apples_devices_take_it(tmp_path: Path) -> None:
    found = ensure_certificate(tmp_path / "tls", NAMES)
    pem = found.chain.read_text()
    made = certificates.x509.load_pem_x509_certificates(pem.encode())[0]
    assert made.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=825)
    assert trustme.CA.from_pem(found.authority.read_bytes(), (tmp_path / "tls" / "authority.key").read_bytes())


def test_the_pages_come_over_https(system: System, tmp_path: Path) -> None:
    port = choose(())
    with processes(system.settings, tmp_path / "logs") as running:
        running.start("web", "--tls", "--port", str(port))
        authority = system.settings.home / "tls" / "authority.pem"
        wait_until(authority.exists, 30)
        trusting = urllib3.PoolManager(ssl_context=ssl.create_default_context(cafile=str(authority)), retries=False)

        def answers() -> bool:
            with suppress(urllib3.exceptions.NewConnectionError):
                return trusting.request("GET", f"https://localhost:{port}/api/v1/health").status == 200
            return False

        wait_until(answers, 30)
        with pytest.raises(urllib3.exceptions.SSLError):
            urllib3.request("GET", f"https://localhost:{port}/", retries=False)
        trusting.clear()
        assert f"https://{names_of_this_machine()[0]}:{port}" in running.output()
        assert str(authority) in running.output()
