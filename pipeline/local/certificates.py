"""A certificate for this machine, from an authority of its own: for teams on one network, where no public authority
vouches for a name. A device asks once whether it trusts the authority.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import AddressFamily, gethostname

import psutil
import trustme
from cryptography import x509

from pipeline.core.files import write_atomically

#: Apple's devices take no longer ones (support.apple.com/103769: 825 days).
_VALID = timedelta(days=800)
_RENEWED_BEFORE = timedelta(days=60)


@dataclass(frozen=True)
class Certificate:
    """Files in PEM.

    Args:
        chain: the certificate with its private key.
        authority: what devices are to trust.
        names: that it is for.
    """

    chain: Path
    authority: Path
    names: tuple[str, ...]


def names_of_this_machine() -> tuple[str, ...]:
    """The names and addresses under which others on the network may reach this machine."""
    host = gethostname().lower()
    found = ["localhost", "127.0.0.1", host] + ([] if "." in host else [f"{host}.local"])
    for addresses in psutil.net_if_addrs().values():
        found += [each.address for each in addresses if each.family == AddressFamily.AF_INET]
    return tuple(dict.fromkeys(found))


def ensure_certificate(folder: Path, names: Sequence[str]) -> Certificate:
    """The certificate for these names: the one that is there, or a new one from the same authority.

    Args:
        folder: readable by its owner alone; made if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, authority, chain = folder / "authority.key", folder / "authority.pem", folder / "server.pem"
    if key.exists() and authority.exists():
        issuer = trustme.CA.from_pem(authority.read_bytes(), key.read_bytes())
    else:
        issuer = trustme.CA(organization_name="Poseline", organization_unit_name=gethostname())
        _write(key, issuer.private_key_pem.bytes())
        _write(authority, issuer.cert_pem.bytes())
        chain.unlink(missing_ok=True)
    if not _is_fit(chain, names):
        made = issuer.issue_cert(*names, not_after=datetime.now(UTC) + _VALID)
        pem = b"".join([made.private_key_pem.bytes(), *(each.bytes() for each in made.cert_chain_pems)])
        _write(chain, pem)
    return Certificate(chain, authority, tuple(names))


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, content, private=True)


def _is_fit(chain: Path, names: Sequence[str]) -> bool:
    if not chain.exists():
        return False
    found = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    listed = {str(each.value) for each in alternatives}
    return set(names) <= listed and found.not_valid_after_utc - datetime.now(UTC) > _RENEWED_BEFORE
