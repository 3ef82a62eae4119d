"""The objects of any bucket: listed in pages, from any key on, and looked at one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pipeline.core.objects import StoredObject
from pipeline.core.watched_keys import ListedObject
from pipeline.storage.store_errors import store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The most that S3 gives at once.
PAGE_KEYS = 1000


@dataclass(frozen=True)
class ListedPage:
    """A part of a listing.

    Args:
        is_last: nothing comes after it.
        as_of: when it was listed, by the store's clock.
    """

    objects: tuple[ListedObject, ...]
    is_last: bool
    as_of: datetime


@dataclass(frozen=True)
class FoundObject:
    """One object as it is now: what it is, and its pin.

    Args:
        as_of: when that was, by the store's clock.
    """

    listed: ListedObject
    pinned: StoredObject
    as_of: datetime


class Listing:
    """Reads what is in buckets; it changes nothing."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def page(self, bucket: str, prefix: str, after: str, most: int = PAGE_KEYS) -> ListedPage:
        """The next objects whose keys begin with `prefix`, after one key, in the order of the store.

        A key that Postgres cannot hold, because it has a NUL, is left out.

        Raises:
            BucketMissing, StoreRefuses, ServiceUnavailable: as `store_errors`.
        """
        with store_errors(bucket, prefix):
            got = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=most)
        objects = tuple(
            ListedObject(one["Key"], one["Size"], one["ETag"], one["LastModified"], one.get("StorageClass", "STANDARD"))
            for one in got.get("Contents", [])
            if "\0" not in one["Key"]
        )
        return ListedPage(objects, is_last=not got.get("IsTruncated") or not objects, as_of=_clock_of(got))

    def look(self, bucket: str, key: str) -> FoundObject:
        """One object as it is now.

        Raises:
            ObjectMissing: there is none of that key.
            StoreRefuses, ServiceUnavailable: as `store_errors`.
        """
        with store_errors(bucket, key):
            got = self._client.head_object(Bucket=bucket, Key=key)
        size_bytes, etag = got["ContentLength"], got["ETag"]
        storage_class = str(got.get("StorageClass", "STANDARD"))
        return FoundObject(
            ListedObject(key, size_bytes, etag, got["LastModified"], storage_class),
            StoredObject(bucket, key, size_bytes, etag, version_of(got.get("VersionId"))),
            _clock_of(got),
        )


def version_of(named: str | None) -> str | None:
    """A version's id; None in a bucket without versions."""
    return None if named == "null" else named


def _clock_of(answer: Any) -> datetime:
    """The time that the store gave with an answer; this machine's where it gave none."""
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return datetime.now(UTC)
