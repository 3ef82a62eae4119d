"""Take in files over the API, in parts: what arrived of a file is not sent again."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import urllib3

from pipeline.errors import ServiceUnavailable, Stopping, UsageError
from pipeline.remote.http import LONG_S, Http
from pipeline.services.known_files import KnownFiles, is_unchanged
from pipeline.services.registration import RequestedRun
from pipeline.services.to_take_in import Item, OnBytes, TakenIn
from pipeline.services.upload_steps import check_readable, printable

_HASH_BYTES = 2**20
_PARTS_AT_ONCE = 3


class RemoteIntake:
    """What the videos of one command share. `take_in` may be called from many threads.

    Args:
        model: by which the videos are analysed.
        known_files: the hashes of files that were read before.
    """

    def __init__(
        self,
        http: Http,
        team_path: str,
        model: str,
        deadline: datetime | None,
        known_files: KnownFiles,
        on_wait: Callable[[str], None],
    ) -> None:
        self.stopping = threading.Event()
        self.on_wait = on_wait
        self._http, self._team_path, self._model = http, team_path, model
        self._deadline, self._known_files = deadline, known_files

    def check_servers(self) -> None:
        """Check that the server answers.

        Raises:
            ServiceUnavailable: it does not.
        """
        self._http.get("/session")

    def forget_left(self) -> None:
        """Nothing is left: an upload that was broken off goes on, or is swept by the server."""

    def close(self) -> None:
        """Close what it has open here."""
        self._known_files.close()

    def take_in(self, item: Item, on_bytes: OnBytes = lambda _: None) -> TakenIn:
        """Send a file, unless the team has its content, and request its run.

        Raises:
            UsageError: it cannot be read, changed meanwhile, or is an object of a store.
            VideoRejected: the server does not take it.
            ServiceUnavailable: the server does not answer.
            Stopping: `stopping` was set.
        """
        if item.is_object:
            raise UsageError(f"{item.location}: objects are read by the servers themselves; name files of this machine")
        path = Path(item.location)
        check_readable(path)
        before = os.stat(path)
        wanted = {
            "name": item.shown_name,
            "size_bytes": before.st_size,
            "modified_ms": before.st_mtime_ns // 1_000_000,
            "sha256": self._sha256(path, before),
            "tags": dict(item.tags),
            "model": self._model,
        }
        begun = self._post("/uploads", wanted)
        if begun["status"] == "known":
            known = begun["known"]
            if item.tags:
                self._http.ask("PATCH", f"{self._team_path}/videos/{known['id']}", body={"tags": dict(item.tags)})
            return TakenIn(UUID(known["id"]), self._request(known["id"]), known["name"])
        upload = begun["upload"]
        self._send(path, upload, on_bytes)
        if not is_unchanged(before, os.stat(path)):
            self._http.ask("DELETE", f"{self._team_path}/uploads/{upload['id']}")
            raise _changed(path)
        done = self._post(f"/uploads/{upload['id']}/complete", timeout_s=LONG_S)
        if done["run_id"] is None:
            raise UsageError(done["problem"] or f"{item.shown_name} has no run")
        run = RequestedRun(UUID(done["run_id"]), UUID(done["video_id"]), existed=False)
        if self._deadline is not None:
            run = self._request(done["video_id"])
        return TakenIn(run.video_id, RequestedRun(run.run_id, run.video_id, existed=False), None)

    def _request(self, video_id: str) -> RequestedRun:
        deadline = self._deadline and self._deadline.isoformat()
        found = self._post("/runs", {"video_id": video_id, "model": self._model, "deadline": deadline})
        return RequestedRun(UUID(found["run_id"]), UUID(video_id), found["existed"])

    def _send(self, path: Path, upload: dict[str, Any], on_bytes: OnBytes) -> None:
        """Send the parts that the server does not have, three at once."""
        with path.open("rb") as file, ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:

            def read(number: int) -> bytes:
                self._check_going_on()
                return os.pread(file.fileno(), upload["part_bytes"], (number - 1) * upload["part_bytes"])

            # A file of the same name, size and time need not be the same.
            same = [
                part for part in upload["parts"] if hashlib.sha256(read(part["number"])).hexdigest() == part["sha256"]
            ]
            on_bytes(sum(part["size_bytes"] for part in same))
            there = {part["number"] for part in same}
            missing = [number for number in range(1, upload["parts_total"] + 1) if number not in there]

            def send(number: int) -> int:
                data = read(number)
                (self._send_to_store if upload["send_to"] == "store" else self._send_part)(upload["id"], number, data)
                return len(data)

            try:
                for count in pool.map(send, missing):
                    on_bytes(count)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _send_part(self, upload_id: str, number: int, data: bytes) -> None:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        headers = {"Content-Digest": f"sha-256=:{digest}:", "Content-Type": "application/octet-stream"}
        path = f"{self._team_path}/uploads/{upload_id}/parts/{number}"
        self._http.ask("PUT", path, body=data, headers=headers, timeout_s=LONG_S)

    def _send_to_store(self, upload_id: str, number: int, data: bytes) -> None:
        path = f"/uploads/{upload_id}/parts/{number}"
        sha256 = hashlib.sha256(data).hexdigest()
        signed = self._post(f"{path}/url", {"sha256": sha256})
        try:
            answer = urllib3.request("PUT", signed["url"], body=data, headers=signed["headers"], redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise ServiceUnavailable(f"the object store does not answer ({type(error).__name__}); try again") from error
        if answer.status != 200:
            raise ServiceUnavailable(f"the object store answered {answer.status} to a part; try again")
        self._post(f"{path}/sent", {"sha256": sha256, "etag": answer.headers["etag"]})

    def _post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self._http.post(f"{self._team_path}{path}", body, **more)

    def _sha256(self, path: Path, before: os.stat_result) -> str:
        """The SHA-256 of a file, from the hashes that are kept or by reading it."""
        begun_ns, known = time.time_ns(), self._known_files.sha256_of(path, before)
        if known is not None:
            return known
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_HASH_BYTES):
                self._check_going_on()
                digest.update(piece)
            if not is_unchanged(before, os.fstat(file.fileno())):
                raise _changed(path)
        self._known_files.note(path, before, digest.hexdigest(), begun_ns=begun_ns)
        return digest.hexdigest()

    def _check_going_on(self) -> None:
        if self.stopping.is_set():
            raise Stopping


def _changed(path: Path) -> UsageError:
    return UsageError(f"{printable(str(path))} changed while it was read; repeat the command once it is complete")
