"""What a live frame would cost through Celery's queue: from sending it until its result is back, without the model.

`python -m tests.benchmarks.queue_cost [FRAMES]` starts servers of its own and a worker that does nothing with a frame
but answer as many bytes as the poses of two people have. Frames come at 30 a second, as from one camera, with as many
under way as a live session has. Beside it stands the same over a WebSocket to another process.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
from celery import Celery
from celery.result import AsyncResult
from redis import Redis
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from pipeline.core.live_latency import spread_of
from pipeline.local.ports import choose, is_free
from pipeline.settings import load_settings
from pipeline.video.camera_source import open_camera
from tests.benchmarks.scale import servers
from tests.support.harness import wait_until
from tests.support.paths import DEMO_CLIP

_FPS = 30.0
_ANSWER = "x" * 240
_BROKER = "POSELINE_BROKER_URL"

app = Celery("queue_cost", broker=os.environ.get(_BROKER), backend=os.environ.get(_BROKER))
# As the product's own: a message is taken for done once it was received, and nothing is fetched ahead.
app.conf.update(worker_prefetch_multiplier=1, task_acks_late=False, result_expires=60, task_ignore_result=False)


@app.task(name="queue_cost.answer")
def answer(frame: str) -> str:
    """Take a frame, and answer."""
    base64.b64decode(frame)
    return _ANSWER


def main(count: int) -> None:
    """Measure and print."""
    frames = read_frames(60)
    size = sum(map(len, frames)) / len(frames) / 1000
    with servers() as home:
        broker = load_settings(home).broker_url.get_secret_value()
        worker = subprocess.Popen(
            [*(sys.executable, "-m", "celery", "-A", "tests.benchmarks.queue_cost", "worker", "--pool", "solo")],
            env={**os.environ, _BROKER: broker},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with Redis.from_url(broker) as redis:
                app.conf.update(broker_url=broker, result_backend=broker)
                wait_until(lambda: app.control.ping(timeout=1), 60)
                assert redis.ping()
            queued = through_queue(frames, count)
        finally:
            worker.terminate()
            worker.wait()
    straight = asyncio.run(through_websocket(frames, count))
    for name, values in (("Celery's queue", queued), ("a WebSocket", straight)):
        spread = spread_of(values)
        assert spread is not None
        print(  # noqa: T201
            f"{count} JPEGs of {size:.0f} kB at {_FPS:g}/s through {name} and back: median {spread.median:.1f} ms, "
            f"p95 {spread.p95:.1f} ms; load {os.getloadavg()[0]:.1f}"
        )


def read_frames(count: int) -> list[bytes]:
    """JPEGs of the demo clip, 640 pixels wide."""
    with open_camera(Path(DEMO_CLIP), 640) as camera:
        pictures = [picture.image for picture, _ in zip(camera.pictures, range(count), strict=False)]
    return [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes() for image in pictures]


def through_queue(frames: Sequence[bytes], count: int) -> list[float]:
    """Milliseconds for each frame; at most two are under way."""
    took, under_way = list[float](), list[tuple[float, AsyncResult[str]]]()
    next_s = time.monotonic()

    def take() -> None:
        begun_s, result = under_way.pop(0)
        assert result.get(timeout=60) == _ANSWER
        took.append(1000 * (time.monotonic() - begun_s))

    for number in range(count):
        next_s = max(next_s + 1 / _FPS, time.monotonic())
        while under_way and (len(under_way) > 1 or time.monotonic() < next_s):
            take()
        time.sleep(max(0.0, next_s - time.monotonic()))
        begun_s = time.monotonic()
        under_way.append((begun_s, answer.delay(base64.b64encode(frames[number % len(frames)]).decode())))
    while under_way:
        take()
    return took


async def through_websocket(frames: Sequence[bytes], count: int) -> list[float]:
    """The same, straight."""
    took = []
    port = choose([])
    with subprocess.Popen([sys.executable, "-m", "tests.benchmarks.queue_cost", "serve", str(port)]) as server:
        try:
            wait_until(lambda: not is_free(port), 30)
            async with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as socket:
                for number in range(count):
                    await asyncio.sleep(1 / _FPS)
                    begun_s = time.monotonic()
                    await socket.send(frames[number % len(frames)])
                    await socket.recv()
                    took.append(1000 * (time.monotonic() - begun_s))
        finally:
            server.terminate()
    return took


async def reply_at(port: int) -> None:
    """Answer frames on a port until this process is ended."""

    async def reply(socket: ServerConnection) -> None:
        async for _ in socket:
            await socket.send(_ANSWER)

    async with serve(reply, "127.0.0.1", port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(reply_at(int(sys.argv[2])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
