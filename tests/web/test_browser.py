"""What the browser of the tests must be able to do, so that a test in it says something about a person's browser."""

from __future__ import annotations

import base64
from fractions import Fraction

import av
from playwright.sync_api import Browser

from tests.support.browser import visit
from tests.support.paths import DEMO_CLIP

DECODE = """async ({codec, description, packets}) => {
    const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const config = {codec, description: bytes(description)};
    if (!(await VideoDecoder.isConfigSupported(config)).supported) return "not supported";
    const times = [];
    const canvas = new OffscreenCanvas(16, 9);
    const context = canvas.getContext("2d");
    let failed = null;
    const decoder = new VideoDecoder({
        output: frame => {
            context.drawImage(frame, 0, 0, 16, 9);
            const pixels = context.getImageData(0, 0, 16, 9).data;
            times.push([frame.timestamp, new Set(pixels).size]);
            frame.close();
        },
        error: error => { failed = String(error); },
    });
    decoder.configure(config);
    for (const {key, timestamp, data} of packets)
        decoder.decode(new EncodedVideoChunk({type: key ? "key" : "delta", timestamp, data: bytes(data)}));
    await decoder.flush().catch(error => { failed ??= String(error); });
    return failed ?? times;
}"""


def test_it_decodes_h264_by_webcodecs_with_the_times_that_it_was_given(browser: Browser, port: int) -> None:
    with av.open(str(DEMO_CLIP)) as clip:
        stream = clip.streams.video[0]
        extradata = stream.codec_context.extradata
        assert extradata is not None
        assert extradata[0] == 1, "an avcC record"
        packets = [
            {
                "key": packet.is_keyframe,
                "timestamp": round(Fraction(packet.pts) * stream.time_base * 1_000_000),
                "data": base64.b64encode(bytes(packet)).decode(),
            }
            for packet in clip.demux(stream)
            if packet.pts is not None
        ][:60]
    with visit(browser) as seen:
        seen.page.goto(f"http://localhost:{port}/")
        asked = {
            "codec": f"avc1.{extradata[1:4].hex()}",
            "description": base64.b64encode(extradata).decode(),
            "packets": packets,
        }
        decoded = seen.page.evaluate(DECODE, asked)
    assert [time for time, _ in decoded] == sorted(packet["timestamp"] for packet in packets)
    assert min(colours for _, colours in decoded) > 20, "pictures, not one colour"


def test_it_has_what_the_pages_use(browser: Browser, port: int) -> None:
    with visit(browser) as seen:
        seen.page.goto(f"http://localhost:{port}/")
        missing = seen.page.evaluate(
            """["VideoDecoder", "AudioDecoder", "VideoEncoder", "OffscreenCanvas", "WebSocket", "EventSource"]
            .filter(name => !(name in window))
            .concat(crypto.subtle ? [] : "crypto.subtle", navigator.storage.getDirectory ? [] : "storage.getDirectory")
            .concat(document.createElement("canvas").getContext("webgl2") ? [] : "webgl2")"""
        )
        assert missing == []
        sound = "AudioDecoder.isConfigSupported({codec: 'mp4a.40.2', sampleRate: 48000, numberOfChannels: 2})"
        assert seen.page.evaluate(f"{sound}.then(answer => answer.supported)") is True
