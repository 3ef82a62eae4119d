"""The local stack's files of other versions are readable: unknown fields are ignored, missing ones have a default."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.errors import StackError
from pipeline.local.home import Home
from pipeline.local.processes import start_id_of
from pipeline.local.stack import status, worker_device

SECRETS = (
    "postgres_admin_password",
    "postgres_password",
    "valkey_password",
    "s3_access_key",
    "s3_secret_key",
    "s3_internal_key",
    "flower_password",
)


def home_with(path: Path, **fields: object) -> Home:
    home = Home.at(path)
    home.make()
    known = {"ports": {"valkey": 1, "postgres": 1}, "stack_id": "id", **{name: f"the {name}" for name in SECRETS}}
    home.stack_file.write_text(json.dumps(known | fields))
    return home


def test_a_stack_file_with_an_unknown_field_is_read(tmp_path: Path) -> None:
    stack = home_with(tmp_path / "home", api_key="of a later version").read_stack()
    assert stack is not None
    assert {getattr(stack, name) for name in SECRETS} == {f"the {name}" for name in SECRETS}


def test_a_stack_file_without_a_password_is_refused(tmp_path: Path) -> None:
    home = home_with(tmp_path / "home")
    known = json.loads(home.stack_file.read_text())
    del known["valkey_password"]
    home.stack_file.write_text(json.dumps(known))
    with pytest.raises(StackError, match="missing: valkey_password"):
        home.read_stack()


@pytest.mark.parametrize("key", ["start_id", "birth"])
def test_the_state_of_another_version_s_supervisor_is_read(tmp_path: Path, key: str) -> None:
    home = home_with(tmp_path / "home")
    process = {"pid": os.getpid(), key: start_id_of(os.getpid()), "later": True}
    state = {"supervisor": process, "services": {"beat": process, "worker": {"pid": None}}, "later": True}
    home.state_file.write_text(json.dumps(state))
    (home.path / "run" / "wanted.json").write_text('{"services": ["worker", "beat"], "slots": 2, "later": true}')
    found = {service.name: service for service in status(home.path).services}
    assert found["beat"].pid == os.getpid()
    assert found["worker"].state == "starting"
    assert worker_device(home.path) == "auto"
