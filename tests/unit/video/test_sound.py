"""The sound of a video, decoded in a sandboxed child: the caller gets samples, silence or a reason, never an error."""

from __future__ import annotations

import struct
import textwrap
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.core.video_limits import VideoLimits
from pipeline.errors import SourceGone
from pipeline.video import decoder_process, demux, zygote_client
from pipeline.video.decode_request import SOUND_RATE_HZ
from pipeline.video.reader import probe
from pipeline.video.sound import CODECS
from pipeline.video.sound_reader import SoundReader, open_sound
from pipeline.video.source import open_source
from tests.support.beep_maker import make_beeps
from tests.support.harness import wait_until
from tests.support.taken_over import BOOT, settled, what_is_left
from tests.support.video_maker import make_video

LIMITS = VideoLimits(max_pixels=10**7, max_frames=1000, stall_s=20)


@pytest.fixture(scope="module", autouse=True)
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zygote_client.Zygote]:
    """A zygote whose children execute a "video" that is Python; it must survive, and nothing may be left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zygote_client, "_BOOT", BOOT.replace("DISABLED_FILTERS", "()"))
        zygote_client.zygote().stop()
        with open_source(make_video(tmp_path_factory.mktemp("first") / "v.mp4", 4)) as source:
            probe(source, LIMITS)
        before = zygote_client.zygote()
        left = settled(before)
        yield before
        assert zygote_client.zygote() is before, "the zygote died"
        wait_until(lambda: what_is_left(before) == left, 5, f"{what_is_left(before)} to become {left}")
    zygote_client.zygote().stop()


def hear(path: Path, stop_s: float, first_s: float = 0.0) -> tuple[SoundReader, np.ndarray]:
    """The reader and all samples, read in uneven pieces."""
    with open_source(path) as source, open_sound(source, LIMITS, Fraction(first_s), Fraction(stop_s)) as sound:
        pieces, left = [], round((stop_s - first_s) * SOUND_RATE_HZ)
        for count in (1, 1601, 7, 99_999, *[48_000] * 1000):
            if not left:
                break
            pieces.append(sound.read(min(count, left)))
            left -= len(pieces[-1])
        return sound, np.concatenate(pieces)


def loud(samples: np.ndarray) -> np.ndarray:
    """The samples at which it is loud, after each silence."""
    at = np.flatnonzero(np.abs(samples.astype(int)).max(axis=1) > 6000)
    return at[np.diff(at, prepend=-SOUND_RATE_HZ) > SOUND_RATE_HZ // 4]


def at_48k(*moments_s: float) -> object:
    return pytest.approx([moment * SOUND_RATE_HZ for moment in moments_s], abs=96)  # 2 ms


def test_sound_of_another_rate_has_its_moments(tmp_path: Path) -> None:
    for rate in (8000, 22_050, 96_000):
        sound, samples = hear(make_beeps(tmp_path / f"{rate}.mkv", codec="flac", rate=rate), 6.0)
        assert (sound.channels, sound.failure, sound.changes) == (2, None, ())
        assert list(loud(samples)) == at_48k(1, 3, 5)


def test_a_stretch_of_it(tmp_path: Path) -> None:
    _, samples = hear(make_beeps(tmp_path / "v.mp4"), 4.0, 2.5)
    assert list(loud(samples)) == at_48k(0.5)


def test_a_gap_is_silent_and_what_follows_is_not_early(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "v.mkv", (1.0, 2.0, 5.0), codec="libopus", rate=48_000, silent_between_s=(1.5, 4.0))
    _, samples = hear(path, 6.0)
    assert list(loud(samples)) == at_48k(1, 5)
    assert not samples[2 * SOUND_RATE_HZ : round(3.8 * SOUND_RATE_HZ)].any()


def test_a_clock_that_runs_slow_does_not_drift(tmp_path: Path) -> None:
    """An MKV whose blocks are spread over 1 % more time than their samples take."""
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.add_stream("libx264", rate=30)
        for at in range(600):
            tone = np.full((1, 160), 20_000 if at in (10, 590) else 0, np.int16)
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 8000, Fraction(1, 8000), at * 160
            for packet in sound.encode(frame):
                packet.pts = packet.dts = round(at * 160 * 1.01)
                container.mux(packet)
    _, samples = hear(path, 13.0)
    wanted = [at * 0.02 * 1.01 * SOUND_RATE_HZ for at in (10, 590)]
    assert list(loud(samples)) == pytest.approx(wanted, abs=0.016 * SOUND_RATE_HZ)


def test_damaged_packets_become_silence(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "v.mkv", codec="ac3", rate=48_000)
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 2):
        if data[at : at + 2] == b"\x0b\x77" and len(data) // 3 < at < len(data) // 2:  # AC-3's sync word
            data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    sound, samples = hear(path, 6.0)
    assert sound.channels == 2
    assert len(samples) == 6 * SOUND_RATE_HZ


@pytest.mark.parametrize("rate", [1, 7, 44_099, 2**16 - 1])
@pytest.mark.parametrize("channels", [0, 1, 3, 255, 65_535])
def test_a_header_that_lies_about_rate_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    """An MP4 of linear sound, whose sample entry (ISO 14496-12, 12.2.3) says how its bytes are to be read."""
    path = make_beeps(tmp_path / "v.mov", codec="pcm_s16le")
    data = path.read_bytes()
    at = data.index(b"sowt")
    lie = bytearray(data)
    lie[at + 20 : at + 22] = struct.pack(">H", channels)
    lie[at + 28 : at + 30] = struct.pack(">H", rate)
    path.write_bytes(lie)
    sound, samples = hear(path, 6.0)
    assert len(samples) == 6 * SOUND_RATE_HZ
    assert sound.channels in {0, 1, 2}
    assert sound.failure or sound.channels


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.abort()", "its decoder stopped unexpectedly (killed by SIGABRT)"),
        ("ctypes.string_at(0)", "its decoder stopped unexpectedly (killed by SIGSEGV)"),
        ("wire.send(job, wire.RecordKind.SOUND, b'x' * 12)", "its decoder sent invalid data"),
        ("wire.send(job, wire.RecordKind.INFO, b'[' * 10**6)", "its decoder sent invalid data"),
        ("info(channels=9)", "its decoder sent invalid data"),
        ("info(channels='x')", "its decoder sent invalid data"),
        ("wire.send(job, wire.RecordKind.FRAME, wire.FRAME.pack(0, 0))", "its decoder sent invalid data"),
        ("info(); wire.send(job, wire.RecordKind.END)", "its track is empty"),
        ("info(); sound(-1)", "its decoder sent invalid data"),
        ("info(); sound(48000 * 4 - 9)", "its decoder sent invalid data"),
        ("info(); wire.send(job, wire.RecordKind.SOUND, b'x' * 15)", "its decoder sent invalid data"),
        ("info(); wire.send(job, wire.RecordKind.SOUND, b'x' * 8)", "its decoder sent invalid data"),
        ("info(); os._exit(3)", "its decoder stopped unexpectedly (exit status 3)"),
        ("lockdown.grant_cpu(request.limits)\nwhile True: pass", "its decoder was stopped: it used more than 0.2 s"),
        ("time.sleep(1000)", "its decoder sent nothing for 1 s and was stopped"),
        ("raise MemoryError", "MiB of memory"),
    ],
)
def test_a_compromised_decoder_gives_no_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    monkeypatch.setitem(globals(), "LIMITS", VideoLimits(stall_s=1, max_cpu_s_per_frame=0.2))
    sound, samples = hear(taken_over(tmp_path, code), 4.0)
    assert (sound.channels, samples.shape) == (0, (4 * SOUND_RATE_HZ, 0))
    assert reason in str(sound.failure)
    assert "\n" not in str(sound.failure)


@pytest.mark.parametrize(
    "end", ["os.abort()", "sound(0)", "sound(50)", "sound(2000); sound(2000)", "wire.send(job, 5, b'{}')"]
)
def test_sound_that_breaks_off_becomes_silence(tmp_path: Path, end: str) -> None:
    sound, samples = hear(taken_over(tmp_path, f"info(); sound(0); {end}"), 4.0)
    assert sound.channels == 2
    assert sound.failure is not None
    assert samples[:100].all()
    assert not samples[2100:].any()
    assert len(samples) == 4 * SOUND_RATE_HZ
    assert sound.failed_at_s < 0.1


def test_endless_sound_is_cut(tmp_path: Path) -> None:
    _, samples = hear(taken_over(tmp_path, "info()\nat = 0\nwhile True: sound(at); at += 100"), 4.0)
    assert samples.all()
    assert len(samples) == 4 * SOUND_RATE_HZ


def test_a_caller_that_takes_its_time_between_pieces_is_no_fault_of_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_process, "WALL_PER_CPU_LIMIT", 0.03)  # 0.9 s
    ticks = "for _ in range(5): wire.send(job, wire.RecordKind.TICK)"
    path = taken_over(tmp_path, f"info(); sound(0)\n{ticks}\nsound(48000)\n{ticks}\nsound(96000); wire.send(job, 6)")
    with open_source(path) as source, open_sound(source, LIMITS, Fraction(0), Fraction(4)) as sound:
        for _ in range(3):
            assert sound.read(SOUND_RATE_HZ)[:100].all()
            threading.Event().wait(1)
        assert sound.failure is None


def taken_over(folder: Path, code: str) -> Path:
    """A "video" that a child executes when it is asked for sound."""
    helpers = """
        import json
        def info(channels=2):
            text = json.dumps({"channels": channels, "track_channels": 2, "tracks": 1})
            wire.send(job, wire.RecordKind.INFO, text.encode())
        def sound(at):
            wire.send(job, wire.RecordKind.SOUND, wire.SOUND.pack(at) + b"\\1" * 400)
        """
    path = folder / "match.mp4"
    path.write_text("# taken over\n" + textwrap.dedent(helpers) + textwrap.dedent(code))
    return path


class _Gone:
    size_bytes = 1000

    def read_at(self, _offset: int, _size: int) -> bytes:
        raise SourceGone


def test_a_source_that_is_gone_is_no_missing_sound() -> None:
    with pytest.raises(SourceGone), open_sound(_Gone(), LIMITS, Fraction(0), Fraction(1)):
        pass


def test_only_sound_decoders_are_allowed(tmp_path: Path) -> None:
    """The request for sound uses no decoder of pictures, and the others none of sound."""
    assert not set(demux.CODECS.split(",")) & set(CODECS.split(","))
