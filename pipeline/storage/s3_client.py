"""boto3's client and its uploads in parts, as Poseline uses them."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config

from pipeline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.manager import TransferManager

PART_BYTES = 8 * 2**20
#: A session may be shared among threads, but for making clients.
_sessions = threading.Lock()


def build_client(settings: Settings, timeout_s: float, attempts: int, endpoint: str | None = None) -> S3Client:
    """A client of the store that the settings name, or of the same by another address; nothing is contacted yet."""
    with _sessions:
        return _session().client(
            "s3",
            endpoint_url=endpoint or settings.s3_endpoint,
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key.get_secret_value(),
            aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=timeout_s,
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=32,
            ),
        )


@cache
def _session() -> boto3.session.Session:
    """One a process: each reads botocore's descriptions of its services anew, 0.1 s of CPU time."""
    return boto3.session.Session()


def build_transfers(client: S3Client, parts_at_once: int) -> TransferManager:
    """Uploads in parts; where one would have more than 10,000, it makes them larger."""
    config = TransferConfig(
        multipart_threshold=PART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_concurrency=parts_at_once,
        preferred_transfer_client="classic",
    )
    config.max_in_memory_upload_chunks = parts_at_once
    return create_transfer_manager(client, config)
