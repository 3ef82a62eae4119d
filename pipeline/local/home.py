"""What a local stack keeps on disk: its directories, its ports and its secrets.

`stack.json` holds the generated passwords; without it the servers' data cannot be opened.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.core.files import write_atomically
from pipeline.errors import StackError

SERVERS = ("postgres", "valkey", "seaweedfs")
PROCESSES = ("worker", "beat", "flower", "web", "live")
TITLES = {
    "postgres": "Postgres",
    "valkey": "Valkey",
    "seaweedfs": "SeaweedFS",
    "flower": "Flower",
    "web": "the pages",
    "live": "the live process",
}

#: Marks a home into which a backup was not restored completely.
RESTORING = "restoring.json"

# Postgres keeps paths in buffers of 1,024 bytes (MAXPGPATH) and cuts longer ones; measured: 815 works, 1,016 fails.
_LONGEST_HOME_BYTES = 900


@dataclass(frozen=True)
class Stack:
    """The ports and secrets of one home. A field added later needs a default: files of earlier versions lack it.

    Args:
        stack_id: marks its processes.
        home: the path of the home that was last started with it; another one where the home was moved or copied.
    """

    ports: Mapping[str, int]
    stack_id: str
    postgres_admin_password: str = field(repr=False)
    postgres_password: str = field(repr=False)
    valkey_password: str = field(repr=False)
    s3_access_key: str = field(repr=False)
    s3_secret_key: str = field(repr=False)
    s3_internal_key: str = field(repr=False)
    flower_password: str = field(repr=False)
    postgres_reader_password: str = field(default="", repr=False)
    home: str = ""

    @classmethod
    def generate(cls, ports: Mapping[str, int]) -> Stack:
        """A new stack with fresh secrets."""
        return cls(
            ports=dict(ports),
            stack_id=secrets.token_hex(8),
            postgres_admin_password=secrets.token_urlsafe(24),
            postgres_password=secrets.token_urlsafe(24),
            valkey_password=secrets.token_urlsafe(24),
            s3_access_key=secrets.token_hex(10).upper(),
            s3_secret_key=secrets.token_urlsafe(24),
            s3_internal_key=secrets.token_urlsafe(24),
            flower_password=secrets.token_urlsafe(24),
            postgres_reader_password=secrets.token_urlsafe(24),
        )

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Stack:
        """Read the fields of `stack.json`; unknown ones are ignored.

        Raises:
            ValueError: a field without a default is missing.
        """
        required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
        if missing := required - set(found):
            raise ValueError(f"missing: {', '.join(sorted(missing))}")
        return cls(**{f.name: found[f.name] for f in fields(cls) if f.name in found})

    def with_ports(self, ports: Mapping[str, int]) -> Stack:
        """This stack on other ports, with the secrets that its file lacks because an earlier version wrote it."""
        reader_password = self.postgres_reader_password or secrets.token_urlsafe(24)
        return replace(self, ports=dict(ports), postgres_reader_password=reader_password)

    def copied(self) -> Stack:
        """The stack of a copied home: the passwords of its data, an id of its own, and no port yet."""
        return replace(self, ports={}, stack_id=secrets.token_hex(8))

    def at(self, home: Path) -> Stack:
        """This stack in a home of that path."""
        return replace(self, home=str(home))

    @property
    def env(self) -> dict[str, str]:
        """The settings of a client, as environment variables; without the administrator's password."""
        port = self.ports
        database, reader = f"127.0.0.1:{port['postgres']}/poseline", self.postgres_reader_password
        return {
            "POSELINE_DATABASE_URL": f"postgresql://poseline:{self.postgres_password}@{database}",
            "POSELINE_DATABASE_READER_URL": f"postgresql://poseline_reader:{reader}@{database}" if reader else "",
            "POSELINE_BROKER_URL": f"redis://default:{self.valkey_password}@127.0.0.1:{port['valkey']}/0",
            "POSELINE_S3_ENDPOINT": f"http://127.0.0.1:{port['s3']}",
            "POSELINE_S3_ACCESS_KEY": self.s3_access_key,
            "POSELINE_S3_SECRET_KEY": self.s3_secret_key,
            "POSELINE_S3_BUCKET": "poseline",
            "POSELINE_WEB_PORT": str(port["web"]),
            "POSELINE_LIVE_PORT": str(port["live"]),
            "POSELINE_FLOWER_PORT": str(port["flower"]),
            "POSELINE_FLOWER_USER": "poseline",
            "POSELINE_FLOWER_PASSWORD": self.flower_password,
        }


@dataclass(frozen=True)
class Home:
    """The directory of one stack. `path` is absolute and without links: processes are recognised by it."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Home:
        return cls(path.expanduser().resolve())

    @property
    def stack_file(self) -> Path:
        return self.path / "stack.json"

    @property
    def env_file(self) -> Path:
        return self.path / "poseline.env"

    @property
    def state_file(self) -> Path:
        return self.path / "run" / "state.json"

    @property
    def desired_state_file(self) -> Path:
        return self.path / "run" / "wanted.json"

    def data(self, server: str) -> Path:
        return self.path / server

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def was_at(self, path: Path) -> bool:
        """Whether a path that was written down is of this home: the same directory, or one it was moved away from."""
        try:
            return path == self.path or not (path / "stack.json").exists() or os.path.samefile(path, self.path)
        except OSError:  # another user's
            return False

    def original_of(self, stack: Stack) -> Path | None:
        """The home that this one is a copy of, None if it is none. A copy becomes a home of its own by `up`."""
        if not stack.home or self.was_at(Path(stack.home)):
            return None
        try:
            other = Home(Path(stack.home)).read_stack()
        except StackError:
            return None
        return Path(stack.home) if other is not None and other.stack_id == stack.stack_id else None

    def check_own(self) -> None:
        """Check that `poseline.env` names this home's servers.

        Raises:
            StackError: this home was copied and not started since, so that it names those of the original; or there
                is no such file, and `stack.json` is damaged.
        """
        original = None
        if not os.path.exists(self.env_file):
            self.read_stack()
        with suppress(StackError):  # what is in `poseline.env` is enough
            if (stack := self.read_stack()) is not None:
                original = self.original_of(stack)
        if original is not None:
            raise StackError(
                f"{self.path} is a copy of {original} and would speak to its servers; run `poseline up`, "
                "which gives it servers of its own"
            )

    def make(self) -> None:
        """Make the directories that are missing. An existing home keeps its mode.

        Raises:
            StackError: the directory cannot be used.
        """
        if len(os.fsencode(self.path)) > _LONGEST_HOME_BYTES:
            raise StackError(
                f"the path of the home is too long for Postgres (over {_LONGEST_HOME_BYTES} bytes); "
                "choose a shorter one with --home"
            )
        try:
            if not self.path.exists():
                self.path.mkdir(mode=0o700, parents=True)
                # Keep the secrets out of a repository around it.
                (self.path / ".gitignore").write_text("*\n")
            if self.path.stat().st_uid != os.geteuid():
                raise StackError(f"{self.path} belongs to another user; be that user, or choose another --home")
            for name in ("run", "logs", "valkey", "seaweedfs", "seaweedfs/data"):
                (self.path / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"cannot make {self.path}: {error.strerror}; choose another place with --home or POSELINE_HOME"
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of `up` and `down`. The kernel frees it when its holder dies."""
        descriptor = os.open(self.path / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def fingerprint(self) -> str:
        """A digest of the supervisor's inputs, which tells whether it has taken up the latest.

        Raises:
            FileNotFoundError: the stack was stopped, or the home is gone.
        """
        return sha256(self.desired_state_file.read_bytes() + self.stack_file.read_bytes()).hexdigest()

    def read_stack(self) -> Stack | None:
        """The stack of this home, or None if none was made yet.

        Raises:
            StackError: `stack.json` is damaged, or gone while there is data.
        """
        try:
            return Stack.from_dict(json.loads(self.stack_file.read_text()))
        except FileNotFoundError:
            if (self.data("postgres") / "PG_VERSION").exists():
                raise StackError(
                    f"{self.stack_file} is gone, and with it the passwords of the data in "
                    f"{self.path}; restore it, or move that directory away"
                ) from None
            return None
        except PermissionError:
            raise StackError(
                f"{self.path} is closed to this user; be the user who made it, or choose another --home"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise StackError(
                f"{self.stack_file} cannot be read ({error}); restore it, or move {self.path} away"
            ) from error

    def write_stack(self, stack: Stack) -> None:
        """Write `stack.json` and the clients' `poseline.env`, durably: the passwords exist nowhere else."""
        write_atomically(self.stack_file, json.dumps(asdict(stack), indent=1) + "\n", private=True, durable=True)
        lines = "".join(f"{name}={value}\n" for name, value in stack.env.items())
        text = f"# Written by `poseline up`; changes are lost.\n{lines}"
        write_atomically(self.env_file, text, private=True, durable=True)
