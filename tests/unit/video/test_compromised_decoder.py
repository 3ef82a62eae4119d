"""A compromised decoder: a real child that executes its "video" as Python source.

Whatever it does is one error in the worker. Nothing is left behind, and the next video decodes.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import DecodeFailed, PoselineError, VideoRejected
from pipeline.video import decoder_process, kernel_filters, zygote_client
from pipeline.video.growing_copy import GrowingCopy
from pipeline.video.reader import VideoReader, probe
from pipeline.video.source import open_source
from tests.support.canary import canary_file, canary_server
from tests.support.harness import wait_until
from tests.support.taken_over import BOOT, settled, what_is_left
from tests.support.video_maker import make_video

LIMITS = VideoLimits(max_pixels=10**7, max_frames=1000, stall_s=20)
LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
WITH_LANDLOCK = pytest.mark.skipif(
    kernel_filters.landlock_abi() < 1, reason="this kernel has no Landlock, or it is not switched on"
)
BOTH = ("deny_files", "deny_syscalls")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "v.mp4", 10)


@pytest.fixture
def disabled(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The kernel filters that are disabled: none, or the test's parameter."""
    return getattr(request, "param", ())


@pytest.fixture(autouse=True)
def zygote(disabled: tuple[str, ...], video: Path) -> Iterator[zygote_client.Zygote]:
    """A zygote whose children can be compromised. It must survive the test, and nothing may be left behind."""
    with pytest.MonkeyPatch.context() as patch:
        boot = BOOT.replace("DISABLED_FILTERS", repr(disabled))
        patch.setattr(zygote_client, "_BOOT", boot)
        if _boot_of_zygote != [boot]:
            _boot_of_zygote[:] = [boot]
            zygote_client.zygote().stop()
        assert frames_of(video) == 10
        before = zygote_client.zygote()
        left = settled(before)
        yield before
        assert frames_of(video) == 10
        assert zygote_client.zygote() is before, "the zygote died"
        wait_until(lambda: what_is_left(before) == left, 5, f"{what_is_left(before)} to become {left}")


#: One zygote serves many tests.
_boot_of_zygote: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def usual_zygote_after() -> Iterator[None]:
    yield
    _boot_of_zygote.clear()
    zygote_client.zygote().stop()


def frames_of(path: Path) -> int:
    with open_source(path) as source:
        return len(probe(source, LIMITS).index)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Run code in a child and return the message of the error that it causes."""

    def run_code(code: str, limits: VideoLimits = LIMITS, error: type[PoselineError] = DecodeFailed) -> str:
        path = tmp_path / "match.mp4"
        path.write_text("# taken over\n" + textwrap.dedent(code))
        with open_source(path) as source, pytest.raises(error) as caught:
            probe(source, limits)
        assert "\n" not in caught.value.message
        assert len(caught.value.message) < 700
        return caught.value.message

    return run_code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ctypes.string_at(0)", "killed by SIGSEGV"),
        ("os.abort()", "killed by SIGABRT"),
        ("os.kill(os.getpid(), 40)", "killed by signal 40"),
        ("os._exit(7)", "exit status 7"),
        ("raise ValueError('x' * 10**7)", "ValueError: xxx"),
        ("os.write(2, b'assertion failed\\n'); os.abort()", "assertion failed"),
        ("os.close(3); time.sleep(1000)", "killed by SIGKILL"),
        ("job.sendall(b'\\xff' * 4096)", "invalid data"),
        ("job.sendall(b'\\x08'); time.sleep(1000)", "invalid data"),
        ("file._sock.sendall(b'\\xff' * 12); file._sock.recv(1); wire.receive_exactly(file._sock, 1)", "exit status 2"),
        ("while True: wire.send(job, wire.RecordKind.TICK, b'x' * 1000)", "ticks too often"),
        ("while True: wire.send(job, wire.RecordKind.INDEX, b'x' * 2500)", "more index rows"),
        ("while True: wire.send(job, wire.RecordKind.FRAME, b'x' * 28)", "FRAME in answer to a probe"),
        ("wire.send(job, wire.RecordKind.INFO, b'[' * 10**6)", "invalid data"),
    ],
)
def test_it_crashes_or_sends_invalid_data(run, monkeypatch, code, message):
    monkeypatch.setattr(decoder_process, "RECORD_TIMEOUT_S", 0.3)
    assert message in run(code)


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(1000)",
        "signal.pause()",
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        "os.set_blocking(2, True)\nwhile True: os.write(2, bytes(65536))",
    ],
)
def test_it_hangs(run, code):
    assert "sent nothing for 0.4 s" in run(code, replace(LIMITS, stall_s=0.4))


def test_it_sends_empty_byte_requests(run):
    message = run("while True: file._sock.sendall(bytes(12))", replace(LIMITS, stall_s=60))
    assert "sent nothing" not in message


def test_it_uses_too_much_cpu_time(run):
    limits = replace(LIMITS, max_cpu_s_per_frame=0.05)
    message = run("while True: pass", limits, VideoRejected)
    assert message == "The header of this video takes more than 0.05 s of CPU time; export it again as H.264 MP4."
    busy = "wire.send(job, wire.RecordKind.TICK); lockdown.grant_cpu(request.limits)\nwhile True: pass"
    assert "One frame of this video takes more than 0.05 s" in run(busy, limits, VideoRejected)
    limits = replace(LIMITS, cpu_s=1)
    endless = "while True: lockdown.grant_cpu(request.limits)"
    assert "Reading this video takes more than 1 s" in run(endless, limits, VideoRejected)


def test_the_cpu_limit_starts_again_with_every_frame(run):
    """Five times 0.1 s of work: allowed with a grant for each, too much with one grant."""
    limits = replace(LIMITS, max_cpu_s_per_frame=0.3)
    code = """
        wire.send(job, wire.RecordKind.TICK)
        for frame in range(5):
            if GRANTED: lockdown.grant_cpu(request.limits)
            until_s = time.process_time() + 0.1
            while time.process_time() < until_s: pass
        tell("alive")
    """
    assert "alive" in run(code.replace("GRANTED", "True"), limits)
    assert "One frame of this video" in run(code.replace("GRANTED", "frame == 0"), limits, VideoRejected)


def test_it_fills_the_memory(run):
    limits = replace(LIMITS, memory_bytes=64 << 20)
    message = run("hoard = [bytearray(1 << 22) for _ in range(10**6)]", limits, PoselineError)
    assert "64 MiB of memory" in message


def test_it_writes_a_great_deal_to_standard_error(run):
    code = """
        lost = 0
        for _ in range(1 << 15):
            try: os.write(2, b"noise\\n" * 10000)
            except BlockingIOError: lost += 1
        tell(lost > 30000)
    """
    assert "(True,)" in run(code)


@LINUX
@pytest.mark.parametrize("disabled", [(), ("deny_syscalls",)], indirect=True)
def test_it_makes_no_processes(run):
    code = """
        libc = ctypes.CDLL(None, use_errno=True)
        made = [libc.fork(), libc.syscall(435, bytes(88), 88)]
        tell(refused(os.fork), *made, refused(os.execv, "/bin/true", ["true"]))
    """
    assert run(code).count("done") == 0
    assert ", -1, -1, " in run(code)


@LINUX
@pytest.mark.parametrize("disabled", [("deny_syscalls",), ("deny_files",), ()], indirect=True)
@WITH_LANDLOCK
def test_it_opens_no_file_with_a_descriptor_of_its_own_freed(run, disabled):
    """Either filter is enough; without both the same code gets through, so that the test can fail."""
    with canary_file() as canary:
        left = canary.with_name("left")
        code = f"""
            os.close(0)
            tell(*(refused(os.open, path, mode) for path, mode in (
                ({str(canary)!r}, os.O_RDONLY), ({str(canary)!r}, os.O_WRONLY), ("/", os.O_RDONLY),
                ("{left}", os.O_CREAT | os.O_WRONLY), ("/proc/{os.getpid()}/environ", os.O_RDONLY),
                (f"/proc/{{os.getppid()}}/environ", os.O_RDONLY), ("/proc/self/environ", os.O_RDONLY),
            )), refused(os.mkdir, "{left}"), refused(os.rename, {str(canary)!r}, "{left}"),
                refused(os.unlink, {str(canary)!r}))
        """
        message = run(code)
        why = "EACCES" if "deny_syscalls" in disabled else "EPERM"
        assert message.count("EACCES") + message.count("EPERM") == 10
        assert message.count(why) >= 7


@LINUX
def test_it_can_only_read_the_copy_that_it_is_given(tmp_path):
    code = b"""# taken over
fd = child.COPY_FD
path = f"/proc/self/fd/{fd}"
tell(os.pread(fd, 12, 0), *(refused(*call) for call in (
    (os.write, fd, b"x"), (os.pwrite, fd, b"x", 0), (os.ftruncate, fd, 0), (os.posix_fallocate, fd, 0, 1 << 20),
    (os.open, path, os.O_RDWR), (os.open, path, os.O_RDONLY), (os.dup, fd),
    (os.fchmod, fd, 0o777), (os.fchown, fd, 1, 1), (os.setxattr, fd, "user.x", b"x"))))
"""
    with (tmp_path / "copy").open("w+b") as file:
        copy = GrowingCopy(file, len(code), lambda *_: b"")
        copy.append(code)
        with pytest.raises(DecodeFailed) as caught:
            probe(copy, LIMITS)
        assert "(b'# taken over'," in caught.value.message
        assert "done" not in caught.value.message
        file.seek(0)
        assert file.read() == code


@LINUX
@pytest.mark.parametrize("disabled", [BOTH], indirect=True)
def test_without_the_filters_a_freed_descriptor_opens_a_file(run):
    assert "('EMFILE', 'done')" in run("tell(refused(os.open, '/', 0), (os.close(0), refused(os.open, '/', 0))[1])")


@LINUX
@pytest.mark.parametrize("disabled", [(), ("deny_syscalls",), BOTH], indirect=True)
def test_it_reaches_no_server(run):
    with canary_server() as server:
        code = f"""
            os.close(0)
            def connect():
                with socket.socket() as canary:
                    canary.settimeout(2)
                    canary.connect(("127.0.0.1", {server.port}))
            tell(refused(connect))
        """
        assert "done" not in run(code)


@LINUX
@pytest.mark.parametrize(
    "disabled",
    [("unshare",), ("unshare", "deny_files"), ("unshare", "deny_syscalls"), ("unshare", *BOTH)],
    indirect=True,
)
def test_it_reaches_no_server_where_there_is_no_network_namespace(run, disabled):
    """In a container it has none: seccomp alone denies it every socket, and Landlock TCP."""
    lets_through = disabled[1:] == BOTH
    with pytest.raises(AssertionError, match="connected") if lets_through else nullcontext(), canary_server() as server:
        message = run(f"""
            os.close(0)
            def reach(*kind):
                with socket.socket(*kind) as canary:
                    canary.settimeout(2)
                    canary.connect(("127.0.0.1", {server.port}))
            tell(refused(reach), refused(reach, socket.AF_INET, socket.SOCK_DGRAM))
        """)
    if "deny_syscalls" not in disabled:
        assert "('EPERM', 'EPERM')" in message
    elif lets_through:
        assert "('done', 'done')" in message, "the test cannot fail"
    elif kernel_filters.landlock_abi() >= 4:
        assert "('EACCES', 'done')" in message


@LINUX
@pytest.mark.skipif(kernel_filters.landlock_abi() < 6, reason="this kernel's Landlock does not know of signals")
@pytest.mark.parametrize("disabled", [(), ("deny_syscalls",), ("deny_files",), BOTH], indirect=True)
def test_it_harms_no_other_process(run, zygote, video, disabled):
    """Not its worker, its zygote, or init; nor another team's decoder, which is the same user's."""
    with open_source(video) as source:
        info = probe(source, LIMITS)
        others = VideoReader(source, info.index, info.size, LIMITS).frames(0, 10, 64)
        next(others)
        (other,) = psutil.Process(zygote.pid).children()
        code = f"""
            libc = ctypes.CDLL(None, use_errno=True)
            tell(*(refused(os.kill, pid, 0) for pid in ({os.getpid()}, {zygote.pid}, 1, {other.pid})),
                 *(libc.ptrace(16, pid, 0, 0) for pid in ({os.getpid()}, {zygote.pid}, {other.pid})))
        """
        message = run(code)
        others.close()
    if disabled == BOTH:
        assert "'EPERM', 'done', -1, -1" in message or os.geteuid(), "the test cannot fail"
    else:
        assert "('EPERM', 'EPERM', 'EPERM', 'EPERM', -1, -1, -1)" in message


def test_frames_that_were_not_requested(tmp_path, video):
    with open_source(video) as source:
        info = probe(source, LIMITS)
    path, limits = tmp_path / "match.mp4", replace(LIMITS, max_cpu_s_per_frame=0.05)
    for code, message in (
        ("while True: wire.send(job, wire.RecordKind.FRAME, wire.FRAME.pack(0, 99))", "invalid data"),
        ("while True: wire.send(job, wire.RecordKind.FRAME, wire.FRAME.pack(-1, 0))", "invalid data"),
        ("while True: wire.send(job, wire.RecordKind.FRAME, wire.FRAME.pack(0, 2**31))", "invalid data"),
        (r"job.sendall(b'\xff' * 64)", "invalid data"),
        (r"job.sendall(b'\3\x24\0\0\0' + b'\xff' * 36)", "invalid data"),
        (r"job.sendall(b'\6\0\0\0\xf0')", "invalid data"),
        (r"job.sendall(b'\5\1\0\0\0{')", "invalid data"),
        ("while True: pass", "stopped: it used more than 0.05 s of CPU time on one frame"),
    ):
        path.write_text("# taken over\n" + code)
        with open_source(path) as source, pytest.raises(DecodeFailed, match=message):
            list(VideoReader(source, info.index, info.size, limits).frames(0, 10, 64))
