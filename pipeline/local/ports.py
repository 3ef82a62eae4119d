"""Ports on loopback: which are free, and choosing new ones."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping

from pipeline.errors import StackError

LOOPBACK = "127.0.0.1"
PORTS_OF = {
    "postgres": ("postgres",),
    "valkey": ("valkey",),
    "seaweedfs": ("s3", "s3_grpc", "master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc"),
    "flower": ("flower",),
    "web": ("web",),
    "live": ("live",),
}
MAIN_PORT = {name: "s3" if name == "seaweedfs" else name for name in PORTS_OF}
#: Those that people type: the first choice, and the option that chooses another.
_KNOWN_PORTS = {"flower": 5555, "web": 8080}

# Below the ephemeral ports of Linux (from 32768) and macOS (from 49152): an outgoing connection could hold one
# just when a server restarts.
_CHOICE = range(15_000, 32_700)


def is_free(port: int) -> bool:
    """Whether a server could listen here now. Connections that linger after a stop do not count."""
    return _problem(port) is None


def forbidden_line(port: int, option: str) -> str:
    """What to do about a port that this user may not listen on."""
    return f"port {port} needs root; choose one above 1023 with {option}"


def _problem(port: int) -> Exception | None:
    """Why no server can listen here now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            return error
    return None


def choose(taken: Iterable[int]) -> int:
    """A free port that is not among `taken`. Random, so that two homes that start at once differ."""
    avoid = set(taken)
    for _ in range(1000):
        port = random.SystemRandom().choice(_CHOICE)
        if port not in avoid and is_free(port):
            return port
    raise StackError("no free port was found on 127.0.0.1; close something that listens there")


def assign_ports(
    kept: Mapping[str, int], names: Iterable[str], wanted: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Every port of a stack: the earlier ones where they are still free, else new ones.

    Args:
        kept: the earlier ports by name.
        names: the services that are not running; the others keep their ports.
        wanted: ports that were asked for, of `flower` and `web`.

    Raises:
        StackError: the port that was asked for is taken or needs root, or none is free.
    """
    ports = dict(kept)
    wanted = wanted or {}
    if changed := {name for name, port in wanted.items() if port != ports.get(name)}:
        ports |= wanted
        names = {*names, *changed}
    for name in (port for service in PORTS_OF if service in set(names) for port in PORTS_OF[service]):
        problem = _problem(ports[name]) if name in ports else None
        if name in ports and problem is None:
            continue
        if name in wanted and isinstance(problem, PermissionError):
            raise StackError(forbidden_line(wanted[name], f"--{name}-port"))
        if name in wanted:
            raise StackError(
                f"port {wanted[name]} is taken: something else listens there; choose another with --{name}-port"
            )
        known = _KNOWN_PORTS.get(name)
        first = known if known and name not in ports and is_free(known) else None
        ports[name] = first or choose(ports.values())
    return ports
