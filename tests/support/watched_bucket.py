"""A watched prefix in the real object store, for tests: what other tools do to it, and ticks that go on with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.services.reconcile.watches import go_on_with_watches
from pipeline.services.system import System, build_system
from pipeline.services.watch.manage import add_watch
from pipeline.services.watch.status import WatchStatus, watch_status
from pipeline.settings import load_settings
from tests.support.harness import sql, wait_until

PATTERN = "{team}/{season}/{name}"


class WatchedPrefix:
    """A prefix of a bucket that other tools write to."""

    def __init__(self, system: System, bucket: str = "watched", *, versions: bool = False) -> None:
        self.system, self.bucket, self.prefix = system, bucket, f"{uuid4().hex}/"
        self.client: Any = system.store._client
        with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=bucket)
        if versions:
            self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def put(self, key: str, body: bytes | Path) -> str:
        """Put an object below the prefix. Returns its key."""
        data = body.read_bytes() if isinstance(body, Path) else body
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data)
        return self.prefix + key

    def put_many(self, keys: Iterable[str]) -> None:
        """Put small objects of different content."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: self.put(key, key.encode()), keys))

    def rename(self, old: str, new: str) -> None:
        """Rename an object as tools do: copy it, delete the old one."""
        source = {"Bucket": self.bucket, "Key": self.prefix + old}
        self.client.copy_object(Bucket=self.bucket, Key=self.prefix + new, CopySource=source)
        self.delete(old)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + key)

    def watch(self, pattern: str = PATTERN, *, settle_s: float = 0.0, every_s: float = 3600.0, **more: Any) -> None:
        """Watch it."""
        given = {"team": None, "model_name": BUNDLED_MODEL} | more
        add_watch(self.system, self.location, pattern, settle_s=settle_s, every_s=every_s, **given)

    def status(self) -> WatchStatus:
        [found] = [each for each in watch_status(self.system) if each.watch.prefix == self.prefix]
        return found

    def list_all(self) -> dict[str, Any]:
        """List it once from beginning to end. Returns what that found."""
        sql(
            self.system,
            "UPDATE watch SET next_at = now() WHERE prefix = :p",
            p=self.prefix,
        )
        before = self.status().watch.listed_at
        wait_until(lambda: self.tick() and self.status().watch.listed_at != before, 60, "the end of the listing")
        found = self.status().watch
        assert found.error is None, found.error
        assert found.listed is not None
        return dict(found.listed)

    def tick(self) -> bool:
        """One tick. Returns True."""
        go_on_with_watches(self.system)
        return True


def tick_for_ever() -> None:
    """Tick until killed, on the servers that the environment names."""
    system = build_system(load_settings(Path()))
    print("ticks", flush=True)  # noqa: T201
    while True:
        go_on_with_watches(system)


if __name__ == "__main__":
    sys.exit(tick_for_ever())
