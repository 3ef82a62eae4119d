"""Objects that are uploaded part by part, over any time and by several processes.

The store's own list of parts is never asked for: it may name a part twice. Who calls keeps the ETags.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.errors import PartDamaged, PoselineError
from pipeline.storage.store_errors import error_code, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNKNOWN = {"NoSuchUpload"}
_OTHER_PARTS = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"}
_OTHER_CONTENT = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}


class UploadGone(PoselineError):
    """The object store no longer knows this upload, or the parts that are to make up the object."""


class PartStore:
    """Uploads in parts to one bucket.

    Args:
        public: signs the URLs under which browsers reach the store; None where they do not.
    """

    def __init__(self, client: S3Client, bucket: str, public: S3Client | None = None) -> None:
        self._client, self._bucket, self._public = client, bucket, public

    @property
    def is_public(self) -> bool:
        """Whether browsers may send parts to the store themselves."""
        return self._public is not None

    def begin(self, key: str) -> str:
        """Begin an upload. Returns its id in the store.

        Raises:
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        with store_errors(self._bucket, key):
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType="video/mp4")[
                "UploadId"
            ]

    def put(self, key: str, upload_id: str, number: int, file: IO[bytes], size_bytes: int, sha256: str) -> str:
        """Store one part, an open file from its beginning. Returns its ETag.

        Args:
            sha256: of the part in hexadecimal digits, which the store checks.

        Raises:
            UploadGone: there is no such upload any more.
            PartDamaged: the store received other bytes.
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        file.seek(0)
        with store_errors(self._bucket, key):
            try:
                return self._client.upload_part(
                    **self._part(key, upload_id, number, sha256), Body=file, ContentLength=size_bytes
                )["ETag"]
            except ClientError as error:
                raise _translated(error) from error

    def sign(
        self, key: str, upload_id: str, number: int, size_bytes: int, sha256: str, valid_s: int
    ) -> tuple[str, dict[str, str]]:
        """A URL that takes this part, and nothing else, for some time, and the headers that belong to it."""
        assert self._public is not None
        part = {**self._part(key, upload_id, number, sha256), "ContentLength": size_bytes}
        url = self._public.generate_presigned_url("upload_part", Params=part, ExpiresIn=valid_s)
        return url, {"x-amz-checksum-sha256": part["ChecksumSHA256"]}

    def complete(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> str:
        """Make one object of the parts with these numbers and ETags. Returns its ETag; again, the same.

        Raises:
            UploadGone: there is no such upload any more, or it has not these parts.
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        listed: Any = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        with store_errors(self._bucket, key):
            try:
                return self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": listed}
                )["ETag"]
            except ClientError as error:
                raise _translated(error) from error

    def abort_all(self, key: str) -> None:
        """End every upload to this key; the object, if there is one, stays.

        Raises:
            ServiceUnavailable: the object store does not answer, or refuses.
        """
        with store_errors(self._bucket, key):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key):
                for upload in page.get("Uploads", []):
                    if upload["Key"] == key:
                        self.abort(key, upload["UploadId"])

    def abort(self, key: str, upload_id: str) -> None:
        """End an upload, if there is one."""
        with store_errors(self._bucket, key):
            try:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            except ClientError as error:
                if error_code(error) not in {*_UNKNOWN, "404"}:
                    raise

    def _part(self, key: str, upload_id: str, number: int, sha256: str) -> dict[str, Any]:
        return {
            "Bucket": self._bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumber": number,
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        }


def _translated(error: ClientError) -> Exception:
    code = error_code(error)
    if code in _UNKNOWN | _OTHER_PARTS:
        return UploadGone()
    return PartDamaged() if code in _OTHER_CONTENT else error
