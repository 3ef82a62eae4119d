"""What the object store's errors mean, each in one line with the fix."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from pipeline.core.objects import StoredObject
from pipeline.errors import NotFound, ServerAway, ServiceUnavailable, SourceGone, StoreFull, UsageError

#: Every other OSError is this machine's own, such as a full disk or an unreadable file, and passes as it is.
_CONNECTION_ERRORS = (ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror)
#: SeaweedFS, MinIO, Ceph, and HTTP's own.
_FULL = {"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_GONE = {"404", "412", "NoSuchKey", "NoSuchVersion", "PreconditionFailed", "InvalidRange", "416"}


class ObjectMissing(NotFound):
    """There is no such object in the object store."""

    exit_code = 1


class BucketMissing(ObjectMissing):
    """Poseline's bucket is not in the object store; make it with `poseline store init`."""


class StoreRefuses(ServiceUnavailable):
    """The object store answers, and refuses."""


def error_code(error: ClientError) -> str:
    """S3's code of an answer that is an error; that of HTTP where it has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: ClientError, what: str) -> str:
    """What to do about an answer that is an error, in one line."""
    code = error_code(error)
    named = f"{code} {error.response.get('Error', {}).get('Message', '')}".strip() if code.isdigit() else code
    if code in {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"}:
        return f"the object store refuses the keys ({code}): check POSELINE_S3_ACCESS_KEY and POSELINE_S3_SECRET_KEY"
    if code in {"401", "403", "AccessDenied"}:
        return (
            f"the object store refuses access to {what} ({named}): check POSELINE_S3_ACCESS_KEY and "
            "POSELINE_S3_SECRET_KEY, and their rights"
        )
    if code in {"RequestTimeTooSkewed", "RequestExpired"}:
        return f"the object store refuses {what} ({code}): set this machine's clock"
    if code in {"301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}:
        return f"the object store refuses {what} ({named}): check POSELINE_S3_REGION and POSELINE_S3_ENDPOINT"
    return f"the object store refuses {what}: {error}"


@contextmanager
def store_errors(bucket: str, key: str) -> Iterator[None]:
    """Translate the client library's errors.

    Raises:
        ObjectMissing: there is no such object, or no such bucket.
        StoreFull: it has no room for the object.
        StoreRefuses: it refuses.
        ServiceUnavailable: the object store does not answer.
        UsageError: the names are impossible.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) == "NoSuchBucket":
            raise BucketMissing(f"there is no bucket {bucket} in the object store; check its name") from error
        if error_code(error) in {"404", "NoSuchKey"}:
            raise ObjectMissing(f"there is no s3://{bucket}/{key}; check the bucket and the key") from error
        if error_code(error) in _FULL:
            raise StoreFull(f"the object store is full ({error_code(error)}); make room, or raise its limit") from error
        raise StoreRefuses(_refusal(error, f"s3://{bucket}/{key}".rstrip("/"))) from error
    except ParamValidationError as error:
        raise UsageError(
            f"s3://{bucket}/{key} cannot be in an object store; check the bucket's name and the key"
        ) from error
    except (BotoCoreError, boto3.exceptions.Boto3Error, *_CONNECTION_ERRORS) as error:
        raise ServerAway(f"the object store does not answer ({error}); is it running?") from error


@contextmanager
def pinned_errors(source: StoredObject) -> Iterator[None]:
    """As `store_errors`, for reading one version of an object.

    Raises:
        SourceGone: it changed or went away.
    """
    try:
        with store_errors(source.bucket, source.key):
            yield
    except BucketMissing as error:
        raise SourceGone(
            f"the bucket {source.bucket} is gone from the object store, and the video {source.key} with it; "
            "restore it, or upload the video again"
        ) from error
    except ObjectMissing as error:
        raise SourceGone(
            f"the video s3://{source.bucket}/{source.key} is gone from the object store; upload it again"
        ) from error
    except ServiceUnavailable as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) in _GONE:
            raise SourceGone(
                f"the video s3://{source.bucket}/{source.key} changed since it was ingested; ingest it again"
            ) from error
        raise
