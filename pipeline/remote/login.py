"""Where a home is signed in: a server, a team and its key, in a file that only its owner can read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from pipeline.core.files import write_atomically
from pipeline.errors import UsageError

FILE = "login.json"


@dataclass(frozen=True)
class Login:
    """A server and the key of one of its teams.

    Args:
        origin: of the server, such as `https://poses.example.org`.
    """

    origin: str
    team: str
    team_id: str
    role: str
    key: str = field(repr=False)

    @property
    def team_path(self) -> str:
        """Where everything of the team is."""
        return f"/teams/{UUID(self.team_id)}"


def read_login(home: Path) -> Login | None:
    """Where a home is signed in; None where it is not.

    Raises:
        UsageError: the file cannot be read, or others can read it.
    """
    path = home / FILE
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{path} holds a key and can be read by others; `chmod 600` it, or sign in again")
        found = json.loads(path.read_text())
        return Login(**{name: str(found[name]) for name in Login.__dataclass_fields__})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read; sign in again with `poseline login`") from error


def write_login(home: Path, login: Login) -> Path:
    """Keep where a home is signed in. Returns the file's path."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(home / FILE, json.dumps(asdict(login), indent=1) + "\n", private=True)
    return home / FILE


def remove_login(home: Path) -> bool:
    """Forget where a home is signed in. Returns whether it was."""
    try:
        (home / FILE).unlink()
    except FileNotFoundError:
        return False
    return True


def origin_of(url: str) -> str:
    """The origin of a server's address as a person writes it.

    Raises:
        UsageError: it is no address, or a key would be sent over the network in the clear.
    """
    parts = urlsplit(url if "://" in url else f"https://{url}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"https", "http"} or parts.username or parts.path.strip("/") or parts.query:
        raise UsageError(f"{url} is no address of a server: write it like https://poses.example.org")
    if parts.scheme == "http" and not _is_loopback(host):
        raise UsageError(f"a key is only sent over https: write https://{parts.netloc}")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
