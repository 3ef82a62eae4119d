"""Settings, from `POSELINE_*` environment variables or the local stack's file.

No secret has a default. Where nothing is configured, the values come from `HOME/poseline.env`, which `poseline up`
writes for its own servers.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipeline.core.upload_parts import LEAST_PART_BYTES, USUAL_PART_BYTES
from pipeline.core.video_limits import VideoLimits
from pipeline.errors import UsageError

ENV_FILE = "poseline.env"

_PREFIX = "POSELINE_"
#: Variables that are no settings of every process: read where they are used, or by the tests.
_READ_ELSEWHERE = {"DEVICE", "STACK_ID", "LOG_LEVEL", "LOG_JSON", "MODELS_MIRROR", "SOAK"}
#: Those of `.env`, which docker-compose.yml reads and hands on under other names.
_OF_COMPOSE = {
    "POSTGRES_ADMIN_PASSWORD",
    "POSTGRES_PASSWORD",
    "VALKEY_PASSWORD",
    "S3_ADMIN_ACCESS_KEY",
    "S3_ADMIN_SECRET_KEY",
    "S3_INTERNAL_KEY",
    "WEB_BIND",
    "WEB_DOMAIN",
    "WORKERS",
    "WORKER_SLOTS",
    "WORKER_MEMORY",
    "GPU_SLOTS",
    "GPU_MEMORY",
}
#: What Kubernetes adds for a service called `poseline-…`.
_OF_KUBERNETES = re.compile(r"(^|_)(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_\w+)?)$")


class Settings(BaseSettings):
    """One process's settings; every field is `POSELINE_` plus its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="POSELINE_", env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/name")
    database_reader_url: SecretStr | None = Field(
        default=None, description="the same for the role poseline_reader, which may only read the views for people"
    )
    broker_url: SecretStr = Field(description="redis://user:password@host:port/0")
    s3_endpoint: str = Field(description="http(s)://host:port of the object store")
    s3_bucket: str = "poseline"
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr
    s3_secret_key: SecretStr
    s3_public_endpoint: str | None = Field(
        default=None, description="https://… under which browsers reach the object store, to send it uploads themselves"
    )

    home: Path = Field(default=Path(".poseline"), description="local state: stack, scratch files; always named")
    models_dir: Path | None = Field(default=None, description="fetched models; HOME/models by default")

    models_pins: Path | None = Field(default=None, description="the SHA-256s of models that the team trusts")

    web_port: int = 8080
    web_url: str | None = Field(
        default=None, description="https://… under which browsers reach the pages, for links that are printed"
    )
    web_trusted_proxies: str = Field(
        default="",
        description="addresses and networks of proxies, separated by commas, whose X-Forwarded headers count; none",
    )

    oidc_issuer: str | None = Field(
        default=None, description="https://… of an OpenID Connect provider with which people may sign in"
    )
    oidc_client_id: str | None = Field(default=None, description="what the provider calls this Poseline")
    oidc_client_secret: SecretStr | None = None
    oidc_name: str | None = Field(
        default=None, description="what the pages call the provider; the host of its issuer by default"
    )
    oidc_domains: str = Field(
        default="", description="domains, separated by commas, of the addresses that may sign in with it; empty: any"
    )
    oidc_trust_email: bool = Field(
        default=False, description="take every address that the provider names for verified, also where it does not say"
    )
    live_port: int = 8090
    live_url: str | None = Field(
        default=None, description="ws://host:port under which `poseline web` reaches this machine's live process"
    )
    live_model: str = Field(default="movenet-multipose-384", description="the model of live sessions")
    live_budget_ms: float = Field(
        default=100.0,
        gt=0,
        description="what decoding, waiting and processing of a live frame may take, for 95 % of them",
    )
    live_yield: bool = Field(
        default=True,
        description="workers compute for a fifth of the time while live sessions are open on their machine",
    )
    live_sessions_per_team: int = Field(default=4, ge=1, description="live sessions that a team may have at once")
    live_session_s: float = Field(default=4 * 3600.0, gt=0, description="how long a live session may last")
    live_idle_s: float = Field(default=30.0, gt=0, description="a live session without a frame for this long ends")

    webhook_private: bool = Field(
        default=False, description="let webhooks go to addresses of private networks and this machine, over http, too"
    )

    flower_port: int = 5555
    flower_user: str = "poseline"
    flower_password: SecretStr | None = None

    chunk_frames: int = Field(default=120, ge=1, description="about how many frames a chunk holds")
    first_chunk_frames: int = Field(
        default=15, ge=0, description="frames of the first chunk, so that poses appear soon; 0: as in any other"
    )
    lease_s: float = Field(
        default=30.0, gt=0, description="a worker that does not renew its lease for this long loses it"
    )
    stall_s: float = Field(default=60.0, gt=0, description="a decoder that gives no frame for this long is killed")
    tick_s: float = Field(default=2.0, gt=0, description="how often the dispatcher and the reconciler run")
    resend_after_s: float = Field(
        default=5.0, gt=0, description="a message not received for this long from an empty queue is lost"
    )
    backoff_s: float = Field(default=2.0, ge=0, description="first delay before failed work is tried again")
    max_errors: int = Field(default=5, ge=1, description="errors before work is given up")
    max_expirations: int = Field(default=3, ge=1, description="expired leases before work is given up")
    max_missing_share: float = Field(
        default=0.05, ge=0, le=1, description="share of missing frames above which a run fails"
    )
    models_kept: int = Field(default=2, ge=1, description="models that a worker keeps in memory")
    ingest_share: float = Field(
        default=0.25, gt=0, le=1, description="share of the slots that ingest videos while chunks wait, at least one"
    )
    deadline_lead_s: float = Field(
        default=3600.0, ge=0, description="a run whose deadline is less than this away comes before others of its team"
    )
    window_per_slot: float = Field(
        default=1.25, ge=1, description="messages in Redis per worker slot, beside the chunks that are being analysed"
    )

    upload_expiry_s: float = Field(
        default=7 * 86_400, gt=0, description="an upload to which nothing happened for this long is removed"
    )
    upload_part_bytes: int = Field(
        default=USUAL_PART_BYTES,
        ge=LEAST_PART_BYTES,
        le=256 * 2**20,
        description="of uploads over the network; larger where a file would have more than 9000 parts",
    )

    rejected_keep_s: float = Field(default=7 * 86_400, ge=0, description="how long a rejected upload's object is kept")

    disk_min_bytes: int = Field(
        default=2**30, ge=0, description="a worker with less free space for scratch files takes in no video"
    )
    store_max_bytes: int | None = Field(
        default=None, gt=0, description="room for uploaded videos; near it, no more are taken in"
    )
    database_max_bytes: int | None = Field(
        default=None, gt=0, description="room for the database; near it, no more videos are taken in"
    )

    #: `POSELINE_VIDEO__MAX_BYTES` and so on; a team may have limits of its own (`poseline teams`).
    video: VideoLimits = VideoLimits()

    def handed_on(self) -> dict[str, Any]:
        """The values as JSON fields, with the secrets: for the standard input of a process of this one's own."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        told = {
            name: value.get_secret_value()
            if isinstance(value, SecretStr)
            else str(value)
            if isinstance(value, Path)
            else value
            for name, value in values.items()
        }
        return {**told, "video": asdict(self.video)}

    @classmethod
    def received(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `handed_on` gave, whatever this process's environment says."""
        return cls(_env_file=None, **values)  # type: ignore[call-arg]

    @property
    def limits(self) -> VideoLimits:
        """The limits of a video whose team has none of its own."""
        return replace(self.video, stall_s=self.stall_s)

    @property
    def heartbeat_s(self) -> float:
        """How often a lease is renewed and progress is written."""
        return min(1.0, self.lease_s / 4)

    def window(self, slots: int) -> int:
        """How many messages wait in Redis for so many slots: one more than these, so that none is idle for long."""
        return max(math.ceil(self.window_per_slot * slots), slots + 1)

    @property
    def models_path(self) -> Path:
        return self.models_dir or self.home / "models"

    @property
    def scratch_path(self) -> Path:
        return self.home / "scratch"


def configured_by_environment() -> bool:
    """Whether the environment names servers."""
    return "POSELINE_DATABASE_URL" in os.environ


def known_variables() -> frozenset[str]:
    """Every `POSELINE_…` variable that something reads."""
    nested = {f"VIDEO__{field.name.upper()}" for field in fields(VideoLimits) if field.name != "stall_s"}
    names = {name.upper() for name in Settings.model_fields} | nested | _READ_ELSEWHERE | _OF_COMPOSE
    return frozenset(_PREFIX + name for name in names)


def check_variables(environment: Mapping[str, str]) -> None:
    """Check that every `POSELINE_…` variable that is set is one: a misspelt one would silently do nothing.

    Raises:
        UsageError: there is no such variable.
    """
    known = known_variables()
    for name, value in environment.items():
        spelt = name.upper()
        if not spelt.startswith(_PREFIX) or spelt in known or not value:
            continue
        if _OF_KUBERNETES.search(spelt.removeprefix(_PREFIX)) or value.startswith(("tcp://", "udp://")):
            continue
        stems = [other.removeprefix(_PREFIX) for other in sorted(known)]
        near = get_close_matches(spelt.removeprefix(_PREFIX), stems, 1, cutoff=0.65)
        fix = f"did you mean {_PREFIX}{near[0]}?" if near else "unset it; docs/operations.md lists the settings"
        raise UsageError(f"there is no setting {name}; {fix}")


def load_settings(home: Path) -> Settings:
    """Settings of this process.

    Raises:
        UsageError: something needed is not set, or cannot be read.
    """
    env_file = None if configured_by_environment() else home / ENV_FILE
    if env_file is not None and not env_file.exists():
        raise UsageError(
            f"there is no local stack in {home}, and POSELINE_DATABASE_URL is not set; run `poseline up`, or set it"
        )
    try:
        return Settings(_env_file=env_file, home=home)  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = "POSELINE_" + "__".join(str(part) for part in first["loc"]).upper()
        if first["type"] == "missing":
            raise UsageError(f"{name} is not set: set it, or run `poseline up` for a stack on this machine") from error
        raise UsageError(f"{name} cannot be read: {first['msg']}") from error
