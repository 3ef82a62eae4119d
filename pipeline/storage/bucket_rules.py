"""What the store does with our bucket by itself: it removes broken-off uploads, and lets browsers in, or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.storage.s3_client import build_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The store counts from the beginning of an upload, we from its last part: one that goes on is not to be removed.
_LONGEST_UPLOAD_DAYS = 14


@dataclass(frozen=True)
class BucketRules:
    """How our bucket is kept.

    Args:
        abort_days: after which the store itself removes an upload that was not completed.
        public: of the address under which browsers reach the store.
        web_origin: of the pages from which they may.
    """

    abort_days: int = 14
    public: S3Client | None = None
    web_origin: str | None = None


def apply_rules(client: S3Client, bucket: str, rules: BucketRules) -> None:
    """Have the store follow the rules for a bucket."""
    client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "broken-off-uploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": rules.abort_days},
                }
            ]
        },
    )
    if rules.web_origin is not None:
        client.put_bucket_cors(
            Bucket=bucket,
            CORSConfiguration={
                "CORSRules": [
                    {
                        "AllowedOrigins": [rules.web_origin],
                        "AllowedMethods": ["GET", "HEAD", "PUT"],
                        "AllowedHeaders": ["*"],
                        "ExposeHeaders": ["ETag"],
                        "MaxAgeSeconds": 3600,
                    }
                ]
            },
        )


def rules_of(settings: Settings) -> BucketRules:
    """The rules that the settings ask for.

    Raises:
        UsageError: the store's public address is not one that browsers can use.
    """
    days = math.ceil(settings.upload_expiry_s / 86_400) + _LONGEST_UPLOAD_DAYS
    endpoint = settings.s3_public_endpoint
    if endpoint is None:
        return BucketRules(days)
    if not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"POSELINE_S3_PUBLIC_ENDPOINT is {endpoint!r}, not a URL like https://host")
    if settings.web_url is None:
        raise UsageError("POSELINE_S3_PUBLIC_ENDPOINT needs POSELINE_WEB_URL: only those pages may send to the store")
    page = urlsplit(settings.web_url)
    if page.scheme == "https" and not endpoint.startswith("https://"):
        raise UsageError("POSELINE_S3_PUBLIC_ENDPOINT must be https:// as POSELINE_WEB_URL is; no browser mixes them")
    return BucketRules(days, build_client(settings, 30, 1, endpoint), f"{page.scheme}://{page.netloc}")
