"""The arrows between the packages, held from the files' own imports; and one home for each vendor library."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FILES = sorted(p for top in ("pipeline", "workers", "migrations") for p in (ROOT / top).rglob("*.py"))

#: What a part may import of the others. `settings`, `errors` and `logs` may be imported by all.
ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "settings": {"core"},
    "errors": set(),
    "logs": set(),
    "video": {"core"},
    "inference": {"core"},
    "storage": {"core"},
    "db": {"core"},
    "queue": {"core", "sent_window"},
    "sent_window": {"core"},
    "services": {"core", "video", "inference", "storage", "db", "queue", "sent_window"},
    "local": {"core", "storage", "db", "queue"},
    "web": set(),
    "bench": {"core", "video", "inference", "storage", "db", "queue", "services", "local", "remote"},
    "api": {"core", "db", "services", "web"},
    "live": {"core", "video", "inference", "db", "services"},
    "remote": {"core", "db", "services"},
    "cli": {"api", "live", "remote", "local", "bench"}
    | {"core", "video", "inference", "storage", "db", "queue", "services"},
}
EVERYWHERE = {"errors", "settings", "logs"}

VENDOR_HOMES: dict[str, set[str]] = {
    "av": {"pipeline/video", "pipeline/bench"},  # bench measures plain decoding
    "onnxruntime": {"pipeline/inference"},
    "openvino": {"pipeline/inference"},
    "pycocotools": {"pipeline/services/evaluate.py"},
    "rtmlib": {"pipeline/inference", "pipeline/bench"},  # bench measures its bare loop
    "boto3": {"pipeline/storage", "pipeline/local"},  # local asks a starting store if it is there
    "botocore": {"pipeline/storage", "pipeline/local"},
    # services name Connection and Engine; bench asks for what it timed
    "sqlalchemy": {"pipeline/db", "pipeline/services", "pipeline/bench", "migrations"},
    "psycopg": {"pipeline/db", "pipeline/local"},
    "alembic": {"pipeline/db", "migrations"},
    "celery": {"workers", "pipeline/queue.py"},
    "kombu": {"workers", "pipeline/queue.py"},
    "redis": {"pipeline/queue.py", "pipeline/sent_window.py", "pipeline/local"},
    "cronsim": {"pipeline/core/cron.py"},
    "tzlocal": {"pipeline/cli"},
    "fastapi": {"pipeline/api"},
    "starlette": {"pipeline/api"},
    "uvicorn": {"pipeline/api"},
    "websockets": {"pipeline/api/live.py", "pipeline/live", "pipeline/remote/live.py", "pipeline/remote/live_door.py"},
    "pydantic": {"pipeline/api", "pipeline/services/trial.py", "pipeline/settings.py"},
    "trustme": {"pipeline/local/certificates.py"},
    "cryptography": {"pipeline/local/certificates.py"},
    "urllib3": {
        "pipeline/remote",
        "pipeline/services/oidc",
        "pipeline/services/webhooks",
        "pipeline/storage",
        "pipeline/local",
    },
    "authlib": {"pipeline/services/oidc"},
    "joserfc": {"pipeline/services/oidc"},
    "argon2": {"pipeline/services/accounts/passwords.py"},
    "click": {"pipeline/cli"},
    "rich": {"pipeline/cli"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_arrows_point_one_way(path: Path) -> None:
    where = path.relative_to(ROOT)
    names = imported(path)
    if where.parts[0] == "pipeline":
        assert not any(name.split(".")[0] in {"workers", "migrations"} for name in names)
        if len(where.parts) == 2 and where.stem == "__init__":
            return
        part = where.parts[1] if len(where.parts) > 2 else where.stem
        others = {name.split(".")[1] for name in names if name.startswith("pipeline.")} - {part}
        assert others <= ALLOWED[part] | EVERYWHERE
    if where.parts[0] == "migrations":
        inside = {name.split(".")[1] for name in names if name.startswith("pipeline.")}
        assert inside <= {"db", "local", "settings"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_vendor_library_has_one_home(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    for name in {name.split(".")[0] for name in imported(path)} & set(VENDOR_HOMES):
        assert any(where == home or where.startswith(home + "/") for home in VENDOR_HOMES[name]), name


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
    assert path.stem not in {"utils", "common", "helpers", "base", "manager"}
