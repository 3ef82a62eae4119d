"""Objects in S3-compatible storage: uploaded whole, read in ranges, pinned to one version.

Signatures are always v4: on custom endpoints boto3 falls back to v2, whose presigned URLs accept any length.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from boto3.s3.transfer import ProgressCallbackInvoker
from botocore.exceptions import ClientError

from pipeline.core.objects import StoredObject
from pipeline.errors import ServiceUnavailable, UsageError
from pipeline.settings import Settings
from pipeline.storage.blocks import BlockCache
from pipeline.storage.bucket_rules import BucketRules, apply_rules, rules_of
from pipeline.storage.listing import Listing, version_of
from pipeline.storage.multipart import PartStore
from pipeline.storage.s3_client import PART_BYTES, build_client, build_transfers
from pipeline.storage.store_errors import (
    BucketMissing,
    ObjectMissing,
    error_code,
    pinned_errors,
    store_errors,
)
from pipeline.storage.versions import ObjectVersions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PIECE_BYTES = 2**20
_PARTS_AT_ONCE = 8
#: Where memory matters more than speed: a part that is sent is in memory.
_PARTS_SPARING = 2


class Readable(Protocol):
    """What an upload needs of an open file."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; nothing at the end."""


class ObjectStore:
    """Poseline's bucket; other buckets can be read by name."""

    def __init__(self, client: S3Client, bucket: str, rules: BucketRules | None = None) -> None:
        self._client = client
        self._rules = rules or BucketRules()
        self.listing = Listing(client)
        self.bucket = bucket
        self.blocks = BlockCache()
        self.versions = ObjectVersions(client)
        self.parts = PartStore(client, bucket, self._rules.public)
        # Each of several uploads at once.
        self._transfers = build_transfers(client, _PARTS_AT_ONCE)
        self._sparing_transfers = build_transfers(client, _PARTS_SPARING)

    def close(self) -> None:
        """Close the connections."""
        self._transfers.shutdown()
        self._sparing_transfers.shutdown()
        self._client.close()

    def of_bucket(self, bucket: str) -> ObjectStore:
        """Another bucket by the same connections, which this one closes."""
        return ObjectStore(self._client, bucket)

    def ensure_bucket(self) -> None:
        """Create our bucket if it is missing, have it remove what is left of broken-off uploads, long after we would,
        and let browsers send it parts from our pages alone, where they may.

        Raises:
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        with store_errors(self.bucket, ""):
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error_code(error) not in {"404", "NoSuchBucket"}:
                    raise
                self._client.create_bucket(Bucket=self.bucket)
            apply_rules(self._client, self.bucket, self._rules)

    def check_bucket(self, bucket: str | None = None) -> None:
        """Check that our bucket is there, or another one.

        Raises:
            BucketMissing: it is not.
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        bucket = bucket or self.bucket
        try:
            with store_errors(bucket, ""):
                self._client.head_bucket(Bucket=bucket)
        except ObjectMissing as error:
            ours = "make it with `poseline store init`, or check POSELINE_S3_BUCKET"
            fix = ours if bucket == self.bucket else "restore it"
            raise BucketMissing(f"there is no bucket {bucket} in the object store: {fix}") from error

    def put_file(
        self, path: Path, key: str, on_bytes: Callable[[int], None] | None = None, content_type: str = "video/mp4"
    ) -> StoredObject:
        """Upload a file; see `put_stream`."""
        with path.open("rb") as file:
            return self.put_stream(file, path.stat().st_size, key, on_bytes, content_type)

    def put_stream(
        self,
        file: Readable,
        size_bytes: int,
        key: str,
        on_bytes: Callable[[int], None] | None = None,
        content_type: str = "video/mp4",
        *,
        sparing: bool = False,
    ) -> StoredObject:
        """Upload the rest of an open file; over 8 MiB in parts, which are read in order, and otherwise whole.

        An upload that fails leaves no parts behind. `on_bytes` is called with each piece's length.

        Args:
            sparing: hold three parts in memory, not eleven, and take longer.

        Raises:
            ServiceUnavailable: the object store does not answer.
            Exception: what `file.read` raises, unchanged.
        """
        if size_bytes <= PART_BYTES:
            data = file.read()
            with store_errors(self.bucket, key):
                put = self._client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=content_type)
            if on_bytes is not None:
                on_bytes(len(data))
            return StoredObject(self.bucket, key, len(data), put["ETag"], version_of(put.get("VersionId")))
        subscribers = [] if on_bytes is None else [ProgressCallbackInvoker(on_bytes)]
        with store_errors(self.bucket, key):
            transfers = self._sparing_transfers if sparing else self._transfers
            transfers.upload(
                cast("IO[bytes]", file),
                self.bucket,
                key,
                extra_args={"ContentType": content_type},
                subscribers=subscribers,
            ).result()
        return self.head(key)

    def head(self, key: str, bucket: str | None = None) -> StoredObject:
        """Pin an object as it is now.

        Raises:
            ObjectMissing: there is none of that key.
            ServiceUnavailable: the object store does not answer.
        """
        bucket = bucket or self.bucket
        with store_errors(bucket, key):
            found = self._client.head_object(Bucket=bucket, Key=key)
        return StoredObject(bucket, key, found["ContentLength"], found["ETag"], version_of(found.get("VersionId")))

    def list_keys(self, prefix: str, bucket: str | None = None) -> Iterator[str]:
        """Every key with that prefix."""
        bucket = bucket or self.bucket
        with store_errors(bucket, prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    yield entry["Key"]

    def read_range(self, source: StoredObject, offset: int, size: int) -> bytes:
        """Bytes `[offset, offset + size)` of the pinned version.

        Raises:
            SourceGone: the object changed or went away since it was pinned.
            ServiceUnavailable: the object store does not answer, or gave less than it promised.
        """
        size = min(size, source.size_bytes - offset)
        if size <= 0:
            return b""
        with pinned_errors(source):
            got = self._client.get_object(**_pin(source), Range=f"bytes={offset}-{offset + size - 1}")
            data = got["Body"].read()
        if len(data) != size:
            raise ServiceUnavailable(f"the object store gave {len(data)} of {size} bytes of {source.key}; try again")
        return data

    def check_unchanged(self, source: StoredObject) -> None:
        """Check that an object still is what it was when it was pinned.

        Raises:
            SourceGone: it changed or went away.
            ServiceUnavailable: the object store does not answer.
        """
        with pinned_errors(source):
            self._client.head_object(**_pin(source))

    def iter_whole(self, source: StoredObject) -> Iterator[bytes]:
        """The pinned version from its first byte to its last, in order, in pieces.

        Raises:
            SourceGone: the object changed or went away since it was pinned.
            ServiceUnavailable: the object store does not answer, or closed the connection early.
        """
        return self.iter_range(source, 0, source.size_bytes)

    def iter_range(self, source: StoredObject, first: int, stop: int) -> Iterator[bytes]:
        """Bytes `[first, stop)` of the pinned version, in order, in pieces; nothing where there are none.

        Raises:
            SourceGone: the object changed or went away since it was pinned.
            ServiceUnavailable: the object store does not answer, or closed the connection early.
        """
        part: dict[str, Any] = {} if (first, stop) == (0, source.size_bytes) else {"Range": f"bytes={first}-{stop - 1}"}
        total, size_bytes = 0, stop - first
        if size_bytes <= 0 < source.size_bytes:
            return
        with pinned_errors(source), closing(self._client.get_object(**_pin(source), **part)["Body"]) as body:
            for piece in body.iter_chunks(_PIECE_BYTES):
                total += len(piece)
                yield piece
        if total != size_bytes:
            raise ServiceUnavailable(f"the object store gave {total} of {size_bytes} bytes; try again")

    def delete(self, key: str) -> None:
        """Remove one of our objects, if it exists, and the parts of uploads to its key that were never completed."""
        with store_errors(self.bucket, key):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=key):
                for upload in page.get("Uploads", []):
                    if upload["Key"] == key:
                        self._client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload["UploadId"])
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def download(self, key: str, to: IO[bytes]) -> None:
        """Write one of our objects to an open file.

        Raises:
            ObjectMissing: there is none of that key.
            ServiceUnavailable: the object store does not answer.
        """
        with (
            store_errors(self.bucket, key),
            closing(self._client.get_object(Bucket=self.bucket, Key=key)["Body"]) as body,
        ):
            shutil.copyfileobj(body, to, _PIECE_BYTES)


def build_object_store(settings: Settings, *, timeout_s: float = 30, attempts: int = 5) -> ObjectStore:
    """The object store that the settings name.

    Args:
        timeout_s: for an answer.
        attempts: at each request before it fails.

    Raises:
        UsageError: the endpoint is not a URL.
    """
    if not settings.s3_endpoint.startswith(("http://", "https://")):
        raise UsageError(f"POSELINE_S3_ENDPOINT is {settings.s3_endpoint!r}, not a URL like http://host:port")
    client = build_client(settings, timeout_s, attempts)
    return ObjectStore(client, settings.s3_bucket, rules_of(settings))


def _pin(source: StoredObject) -> dict[str, Any]:
    pin: dict[str, Any] = {"Bucket": source.bucket, "Key": source.key, "IfMatch": source.etag}
    if source.version_id is not None:
        pin["VersionId"] = source.version_id
    return pin
