"""The sandbox: what happens to a worker whose decoder child crashes, hangs, uses too much memory, or has to stop."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

import pipeline.video.decoder_process
from pipeline.core.video_limits import VideoLimits
from pipeline.errors import DecodeFailed, ServiceUnavailable, SourceGone, Stopping
from pipeline.video import zygote_client
from pipeline.video.byte_channel import BLOCK_BYTES
from pipeline.video.frame_pool import create_pool
from pipeline.video.reader import VideoInfo, VideoReader, probe
from pipeline.video.source import open_source
from tests.support.video_maker import make_video, read_number

LIMITS = VideoLimits(max_pixels=4096 * 2304, max_frames=10_000, stall_s=20)
FRAMES = 90
LINUX = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux only")


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return make_video(
        tmp_path_factory.mktemp("video") / "v.mp4",
        FRAMES,
        width=320,
        height=192,
        noise=True,
        gop=30,
        options={"crf": "4"},
    )


@pytest.fixture
def source(path):
    with open_source(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def info(path) -> VideoInfo:
    with open_source(path) as opened:
        return probe(opened, LIMITS)


def frames(source, info, limits=LIMITS, side=384, **more):
    return VideoReader(source, info.index, info.size, limits).frames(0, len(info.index), side, **more)


def children() -> list[psutil.Process]:
    return psutil.Process(zygote_client.zygote().pid).children()


def the_child() -> psutil.Process:
    (child,) = children()
    return child


class Failing:
    """A source that raises from the n-th read on."""

    def __init__(self, inner, error, reads=0):
        self.inner, self.error, self.reads = inner, error, reads
        self.size_bytes = inner.size_bytes

    def read_at(self, offset, size):
        self.reads -= 1
        if self.reads < 0:
            raise self.error
        return self.inner.read_at(offset, size)


class Blocking:
    """A source that waits until it is told to go on."""

    def __init__(self, inner):
        self.inner = inner
        self.size_bytes = inner.size_bytes
        self.asked, self.go = threading.Event(), threading.Event()

    def read_at(self, offset, size):
        self.asked.set()
        assert self.go.wait(30)
        return self.inner.read_at(offset, size)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_a_killed_child_is_one_error_and_the_next_call_works(source, info, name):
    decoding = frames(source, info)
    next(decoding)
    the_child().send_signal(getattr(signal, name))
    with pytest.raises(DecodeFailed, match=name):
        list(decoding)
    assert not children()
    assert len(list(frames(source, info))) == FRAMES


def test_a_dead_zygote_is_replaced(source, info):
    decoding = frames(source, info)
    next(decoding)
    child, old = the_child(), zygote_client.zygote()
    os.kill(old.pid, signal.SIGKILL)
    with pytest.raises(DecodeFailed, match="zygote process ended"):
        list(decoding)
    assert old.wait_ended(10)
    child.wait(10)
    assert len(list(frames(source, info))) == FRAMES
    assert zygote_client.zygote().pid != old.pid


def test_a_hanging_child_is_killed(source, info):
    decoding = frames(source, info, VideoLimits(max_pixels=10**7, max_frames=100, stall_s=0.3))
    next(decoding)
    child = the_child()
    child.suspend()
    started_s = time.monotonic()
    with pytest.raises(DecodeFailed, match=r"sent nothing for 0\.3 s"):
        list(decoding)
    assert time.monotonic() - started_s < 3
    child.wait(5)


def test_a_slow_caller_is_not_a_stall(source, info):
    decoding = frames(source, info, VideoLimits(max_pixels=10**7, max_frames=100, stall_s=0.2))
    next(decoding)
    threading.Event().wait(0.5)
    assert len(list(decoding)) == FRAMES - 1


def test_a_slow_source_is_not_a_stall(source, info):
    slow = Blocking(source)
    threading.Timer(0.6, slow.go.set).start()
    assert len(list(frames(slow, info, VideoLimits(max_pixels=10**7, max_frames=100, stall_s=0.2)))) == FRAMES


@pytest.mark.parametrize("error", [SourceGone(), ServiceUnavailable("the store is away")])
def test_errors_of_the_source_surface_unchanged(source, info, error):
    """From the first read on, and in the middle."""
    assert source.size_bytes > 3 * BLOCK_BYTES
    for reads in (0, 2):
        with pytest.raises(type(error)) as caught:
            probe(Failing(source, error, reads), LIMITS)
        assert caught.value is error
    with pytest.raises(type(error)) as caught:
        list(frames(Failing(source, error), info))
    assert caught.value is error
    assert not children()


def test_interrupted_while_waiting_for_bytes(source, info):
    blocking, interrupted = Blocking(source), threading.Event()
    raised_at_s = []

    def stop():
        blocking.asked.wait(30)
        interrupted.set()
        raised_at_s.append(time.monotonic())

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(Stopping):
        list(frames(blocking, info, interrupted=interrupted))
    stopper.join()
    assert time.monotonic() - raised_at_s[0] < 0.6
    assert not children()
    blocking.go.set()
    for thread in threading.enumerate():
        if thread.name == "video-bytes":
            thread.join(10)


def test_interrupted_between_frames(source, info):
    interrupted = threading.Event()
    decoding = frames(source, info, interrupted=interrupted)
    next(decoding)
    interrupted.set()
    with pytest.raises(Stopping):
        next(decoding)
    assert not children()


def test_closing_ends_the_child(source, info):
    decoding = frames(source, info)
    next(decoding)
    child = the_child()
    decoding.close()
    assert not child.is_running()


def test_nothing_is_left_over(source, info):
    list(frames(source, info))
    before = len(os.listdir("/dev/fd")), threading.active_count()
    for i in range(20):
        decoding = frames(source, info)
        for _ in range(1 + i % 3):
            next(decoding)
        if i % 4 == 0:
            the_child().kill()
            with pytest.raises(DecodeFailed):
                list(decoding)
        decoding.close()
        if i % 5 == 0:
            probe(source, LIMITS)
    assert not children()
    assert (len(os.listdir("/dev/fd")), threading.active_count()) == before
    assert len(psutil.Process(zygote_client.zygote().pid).open_files()) <= 1
    assert psutil.Process(zygote_client.zygote().pid).num_fds() < 12


@LINUX
def test_memory_of_the_parent_is_flat(source, info):
    def rss_bytes():
        return psutil.Process().memory_info().rss

    for _ in range(5):
        list(frames(source, info, side=None))
    before = rss_bytes()
    for _ in range(30):
        list(frames(source, info, side=None))
    assert rss_bytes() - before < 4 << 20


def test_several_threads_at_once(source, path, info):
    numbers: dict[int, list[int]] = {}

    def work(i):
        with open_source(path) as own:
            numbers[i] = [read_number(frame.image) for frame in frames(own, info, side=None)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(numbers[i] == list(range(FRAMES)) for i in range(6))


def test_the_zygote_outlives_the_thread_that_started_it(source, info):
    zygote_client.zygote().stop()
    counts = []
    thread = threading.Thread(target=lambda: counts.append(len(list(frames(source, info)))))
    thread.start()
    thread.join()
    pid = zygote_client.zygote().pid
    counts.append(len(list(frames(source, info))))
    assert counts == [FRAMES, FRAMES]
    assert zygote_client.zygote().pid == pid


@LINUX
def test_what_a_child_has_left(source, info, monkeypatch):
    monkeypatch.setenv("POSELINE_S3_SECRET_KEY", "hush-hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    zygote_client.zygote().stop()
    decoding = frames(source, info)
    next(decoding)
    child, zygote = the_child(), zygote_client.zygote()
    environment = Path(f"/proc/{zygote.pid}/environ").read_bytes()
    assert b"hush" not in environment
    assert b"POSELINE" not in environment
    status = dict(re.findall(r"(\w+):[ \t]*(.*)", Path(f"/proc/{child.pid}/status").read_text()))
    assert status["Threads"] == "1"
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == 0 or os.geteuid()
    if os.geteuid() == 0:
        assert set(status["Uid"].split() + status["Gid"].split()) == {"65534"}
        assert status["Groups"].strip() == ""
        assert os.readlink(f"/proc/{child.pid}/ns/net") != os.readlink("/proc/self/ns/net")
        opened = {os.readlink(f"/proc/{child.pid}/fd/{fd}").split(":")[0] for fd in range(5)}
        assert opened == {"/dev/null", "pipe", "socket"}
    assert os.getsid(child.pid) == child.pid
    assert status["Seccomp"] == "2"
    limits = dict(re.findall(r"(Max [a-z ]+?)  +(\d+)", Path(f"/proc/{child.pid}/limits").read_text()))
    assert limits["Max core file size"] == "0"
    assert limits["Max file size"] == "0"
    assert limits["Max processes"] == "0"
    assert limits["Max open files"] == "5"
    assert limits["Max cpu time"] == str(LIMITS.cpu_s)
    assert int(limits["Max address space"]) < LIMITS.memory_bytes + (2 << 30)
    decoding.close()


@LINUX
def test_a_child_cannot_shrink_the_frame_pool_under_its_parent():
    fd = create_pool((10, 30), 5)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_an_empty_range_starts_no_child(source, info):
    assert not list(VideoReader(source, info.index, info.size, LIMITS).frames(5, 5, 64))


class Looks(threading.Event):
    """Waits until the one decoder child has stopped."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        until_s = time.monotonic() + 10
        while [child.status() for child in children()] != [psutil.STATUS_STOPPED]:
            assert time.monotonic() < until_s
        self.waits += 1
        return False


@LINUX
def test_a_child_that_is_to_rest_is_stopped_for_so_long_and_then_goes_on(source, monkeypatch):
    monkeypatch.setattr(pipeline.video.decoder_process, "POLL_S", 0.001)
    asked: list[float] = []

    def rest_s(worked_s: float) -> float:
        asked.append(worked_s)
        return 0.1 if len(asked) == 1 else 0.0

    looks = Looks()
    assert len(probe(source, LIMITS, interrupted=looks, rest_s=rest_s).index) == FRAMES
    assert looks.waits == 1
    assert min(asked) >= 0.001
    assert children() == []
