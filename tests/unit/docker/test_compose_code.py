"""The Compose file and the code that it starts."""

from __future__ import annotations

import re

import click
import pytest

from pipeline.cli.main import poseline
from pipeline.settings import Settings
from tests.support.compose_file import (
    COMPOSE,
    DOCKER,
    LAST_STAGE,
    NOWHERE,
    OURS,
    READ_ELSEWHERE,
    ROOT,
    SECRET,
    SERVICES,
    argv,
    health,
    option,
    variables,
)


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_one_that_poseline_has(name: str) -> None:
    command: click.Command = poseline
    context: click.Context | None = None
    words = argv(name)
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


@pytest.mark.parametrize("name", ["worker", "gpu-worker", "beat", "flower", "web", "live"])
def test_every_probe_names_its_own_process(name: str) -> None:
    how, python, script, role, *node = SERVICES[name]["healthcheck"]["test"]
    assert (how, python) == ("CMD", "python")
    assert f"COPY docker/health.py {script}\n" in LAST_STAGE
    assert role == argv(name)[0]
    assert node == ([option(name, "--name")] if role == "worker" else [])


def test_a_probe_times_out_before_compose_kills_it() -> None:
    tick_s = Settings.model_fields["tick_s"].default
    for name in ("worker", "gpu-worker", "beat", "flower", "web", "live"):
        limit_s = int(SERVICES[name]["healthcheck"]["timeout"].removesuffix("s"))
        assert limit_s > 3 * tick_s + health.ANSWER_S + 2


def test_probes_over_http_use_the_ports_of_their_processes() -> None:
    assert f":{option('flower', '--port')}/" in health.FLOWER
    assert f":{option('web', '--port')}/" in health.WEB
    assert f":{option('live', '--port')}/" in health.LIVE


def test_every_variable_is_read() -> None:
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
    optional = dict(re.findall(r"^#(POSELINE_\w+)=(\S*)$", example, re.MULTILINE))
    assert len(re.findall(r"POSELINE_\w+=", example)) == len(required) + len(optional)
    found = variables(COMPOSE)
    assert required == {name for name, how, _ in found if how == ":?"}
    assert optional == {name: default for name, how, default in found if how == ":-"}


def test_no_secret_has_a_default() -> None:
    for name, how, rest in variables(COMPOSE):
        assert (how == ":?") == bool(SECRET.search(name)), name
        if how == ":?":
            assert rest == f"set {name} in .env"


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_comes_from_outside(name: str) -> None:
    secret_fields = {f"POSELINE_{f.upper()}" for f, info in Settings.model_fields.items() if "SecretStr" in str(info)}
    assert len(secret_fields) == 7
    for variable, value in SERVICES[name].get("environment", {}).items():
        if variable in secret_fields or SECRET.search(variable):
            astray = name in {"beat", "flower"} and value in NOWHERE
            assert astray or ":?" in value, variable


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_an_argument(name: str) -> None:
    service = SERVICES[name]
    argued = [service.get(key, []) for key in ("command", "entrypoint")] + [service.get("healthcheck", {})]
    assert [variable for variable, how, _ in variables(argued) if how == ":?"] == []


def test_every_required_setting_is_given_to_every_process_that_reads_them() -> None:
    needed = {f"POSELINE_{name.upper()}" for name, field in Settings.model_fields.items() if field.is_required()}
    for name in set(OURS) - {"models"}:
        assert needed <= SERVICES[name]["environment"].keys(), name


def test_workers_cannot_do_what_only_preparation_may() -> None:
    for name in ("worker", "gpu-worker", "cli", "beat", "flower", "web", "live", "migrate"):
        assert [v for v, _, _ in variables(SERVICES[name]["environment"]) if "ADMIN" in v or "INTERNAL" in v] == []
    assert {v for v, _, _ in variables(SERVICES["bucket"]["environment"]) if "ADMIN" in v} == {
        "POSELINE_S3_ADMIN_ACCESS_KEY",
        "POSELINE_S3_ADMIN_SECRET_KEY",
    }
