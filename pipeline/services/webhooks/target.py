"""Where a webhook may go, and the request itself.

Whoever adds a webhook chooses where this machine sends a request. So that nobody reaches what only this machine can,
its name is resolved once, no address of a private network is taken, and the request goes to the address that was
checked.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

import urllib3

from pipeline.errors import UsageError

_TIMEOUT_S = 10.0
_LONGEST_URL = 2000
_NAT64, _LOCAL_NAT64 = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")


def check_url(url: str, *, private: bool) -> SplitResult:
    """Check the address of a webhook, without asking where its name leads.

    Args:
        private: whether addresses of private networks and plain http are allowed.

    Raises:
        UsageError: it is no address, or one that is not allowed.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"this is no address: {error}") from error
    schemes = {"https", "http"} if private else {"https"}
    if len(url) > _LONGEST_URL or not url.isprintable() or not host or parts.scheme not in schemes or parts.username:
        raise UsageError("a webhook's address is like https://example.org/poses, without a name and password in it")
    if not private and _is_private(host):
        raise UsageError("a webhook goes to no private network unless the operator sets POSELINE_WEBHOOK_PRIVATE=1")
    return parts


def resolve(host: str, port: int, *, private: bool) -> str:
    """The address to which a host's name leads, of those that are allowed.

    Raises:
        UsageError: it leads nowhere, or to a private network.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{host} is not known: {error.strerror or error}") from error
    addresses = [str(each[4][0]) for each in found]
    if not private and any(map(_is_private, addresses)):
        raise UsageError(f"{host} leads to a private network")
    return addresses[0]


def send(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> tuple[bool, str]:
    """POST to a webhook. Returns whether it took it, and its answer in words; redirects are not followed."""
    try:
        parts = check_url(url, private=private)
        host, is_tls = str(parts.hostname), parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        address = resolve(host, port, private=private)
    except UsageError as error:
        return False, error.message
    options: dict[str, object] = {"timeout": urllib3.Timeout(_TIMEOUT_S), "retries": False, "maxsize": 1}
    if is_tls:
        options |= {"server_hostname": host, "assert_hostname": host, "cert_reqs": "CERT_REQUIRED"}
    kind = urllib3.HTTPSConnectionPool if is_tls else urllib3.HTTPConnectionPool
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    named = {**headers, "Host": parts.netloc, "Content-Type": "application/json", "User-Agent": "Poseline"}
    try:
        with kind(address, port, **options) as pool:  # type: ignore[arg-type]
            answer = pool.urlopen("POST", target, body=body, headers=named, redirect=False, preload_content=False)
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return False, f"no answer: {type(error).__name__}"
    return 200 <= answer.status < 300, f"answered {answer.status}"


def _is_private(host: str) -> bool:
    """Whether a host is this machine or one of a private network, by its address; names are not asked for."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if address in _LOCAL_NAT64:
        return True
    inner = _ipv4_within(address) if isinstance(address, IPv6Address) else None
    return any(not each.is_global or each.is_multicast for each in (address, inner) if each is not None)


def _ipv4_within(address: IPv6Address) -> IPv4Address | None:
    """Where a gateway sends what goes to an address that holds another: mapped, 6to4, Teredo or NAT64."""
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
