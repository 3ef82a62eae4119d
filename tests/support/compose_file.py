"""docker-compose.yml, docker/ and pyproject.toml as read, and what the tests on them share."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from tests.support.paths import ROOT

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
    "POSELINE_WEB_BIND": "docker-compose.yml",
    "POSELINE_WEB_DOMAIN": "docker-compose.yml",
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


def strings(node: Any) -> Iterator[str]:
    """Every string in a piece of the file."""
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def variables(node: Any) -> list[tuple[str, str, str]]:
    """`(name, ':-' or ':?', default or message)` of every variable in a piece of the file."""
    return [(m["name"], m["how"], m["rest"]) for text in strings(node) for m in VARIABLE.finditer(text)]


def by_default(words: list[str]) -> list[str]:
    """Words as they are with an empty `.env`."""
    return [VARIABLE.sub(lambda m: m["rest"] if m["how"] == ":-" else "set", word) for word in words]


def argv(name: str) -> list[str]:
    """What a service of our image calls `poseline` with; the image's entrypoint is `poseline`."""
    service = SERVICES[name]
    return by_default([*service.get("entrypoint", ["poseline"])[1:], *service["command"]])


def option(name: str, wanted: str) -> str:
    words = argv(name)
    return words[words.index(wanted) + 1]


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


picker = module(DOCKER / "pick_requirements.py")
health = module(DOCKER / "health.py")
