"""Every version of an object, and uploads that were never completed: found, and removed for good.

In a bucket with versions, deleting an object hides it and keeps it. What is removed here is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.errors import ServiceUnavailable
from pipeline.storage.store_errors import BucketMissing, error_code, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE = 1000
#: Of stores that keep no versions and say so.
_UNSUPPORTED = {"NotImplemented", "501", "MethodNotAllowed", "405"}


@dataclass(frozen=True)
class Found:
    """What was found of some objects.

    Args:
        versions: of objects, those that are hidden too.
        markers: that hide them.
        uploads: in parts, that were never completed.
    """

    versions: int = 0
    markers: int = 0
    uploads: int = 0
    size_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.versions or self.markers or self.uploads)


class ObjectVersions:
    """The versions and open uploads in a bucket."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def find(self, bucket: str, key: str) -> Found:
        """What there is of the object with that key, and of those in the folder of that name.

        Raises:
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        found = Found()
        for entry in self._iter_versions(bucket, key):
            found = _counted(found, entry)
        return replace(found, uploads=sum(1 for _ in self._iter_uploads(bucket, key)))

    def remove(self, bucket: str, key: str) -> Found:
        """Remove every version of them, and every upload to them. Returns what there was.

        Raises:
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        found = Found()
        for upload in list(self._iter_uploads(bucket, key)):
            found = replace(found, uploads=found.uploads + 1)
            with store_errors(bucket, key):
                try:
                    self._client.abort_multipart_upload(Bucket=bucket, **upload)
                except ClientError as error:
                    if error_code(error) not in {"NoSuchUpload", "404"}:  # completed or aborted meanwhile
                        raise
        # Versions after uploads: one that was completed meanwhile is a version.
        entries = iter(list(self._iter_versions(bucket, key)))
        while some := list(islice(entries, _AT_ONCE)):
            for entry in some:
                found = _counted(found, entry)
            names = [{name: each[name] for name in ("Key", "VersionId") if name in each} for each in some]
            with store_errors(bucket, key):
                answer = self._client.delete_objects(Bucket=bucket, Delete={"Objects": names, "Quiet": True})  # type: ignore[typeddict-item]
            for refused in answer.get("Errors", []):
                if refused.get("Code") not in {"NoSuchKey", "NoSuchVersion"}:
                    raise ServiceUnavailable(
                        f"the object store does not remove s3://{bucket}/{refused.get('Key')} "
                        f"({refused.get('Code')}): allow it, and end a lock or hold on the object"
                    )
        return found

    def iter_keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """The key of every version and open upload below a prefix; one may come more than once."""
        for entry in self._iter_all_versions(bucket, prefix):
            yield entry["Key"]
        for upload in self._iter_all_uploads(bucket, prefix):
            yield upload["Key"]

    def _iter_versions(self, bucket: str, key: str) -> Iterator[dict[str, Any]]:
        return (each for each in self._iter_all_versions(bucket, key) if _is_of(each["Key"], key))

    def _iter_uploads(self, bucket: str, key: str) -> Iterator[dict[str, Any]]:
        return (each for each in self._iter_all_uploads(bucket, key) if _is_of(each["Key"], key))

    def _iter_all_versions(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        try:
            with store_errors(bucket, prefix):
                for page in self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
                    yield from (dict(each) for each in page.get("Versions", []))
                    yield from ({**each, "marker": True} for each in page.get("DeleteMarkers", []))
        except BucketMissing:
            return
        except ServiceUnavailable as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or error_code(cause) not in _UNSUPPORTED:
                raise
            with store_errors(bucket, prefix):
                for listed in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                    yield from (dict(each) for each in listed.get("Contents", []))

    def _iter_all_uploads(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        try:
            with store_errors(bucket, prefix):
                for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
                    yield from ({"Key": each["Key"], "UploadId": each["UploadId"]} for each in page.get("Uploads", []))
        except BucketMissing:
            return


def _is_of(key: str, wanted: str) -> bool:
    return key == wanted or key.startswith(f"{wanted}/")


def _counted(found: Found, entry: dict[str, Any]) -> Found:
    if "marker" in entry:
        return replace(found, markers=found.markers + 1)
    return replace(found, versions=found.versions + 1, size_bytes=found.size_bytes + int(entry.get("Size", 0)))
