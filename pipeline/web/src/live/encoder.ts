/** Encodes a camera's frames for the server: as H.264 in real time where the browser can, else as JPEG. */

import type { Codec } from "./protocol.ts";

/** A picture of a camera, upright as it is shown. */
export interface Picture {
  readonly frame: ImageBitmap;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Encoded extends Size {
  readonly data: Uint8Array;
  readonly keyframe: boolean;
}

export interface FrameEncoder {
  readonly codec: Codec;
  /**
   * One frame at a time; the picture stays its owner's. Undefined where the encoder left the frame out. Throws once it
   * is broken.
   */
  encode(picture: Picture, keyframe: boolean): Promise<Encoded | undefined>;
  close(): void;
}

/** Larger pictures than a screen shows only take longer to copy. */
const LONGEST_HELD = 1280;
/** Models look at squares of 640 px and less. */
const LONGEST_SIDE = 640;
const JPEG_QUALITY = 0.8;
/** Constrained baseline, level 3.1: no B-frames. */
const H264 = "avc1.42e01f";
/** Bits of each pixel; 640 x 360 at 30 frames a second come to 1.5 Mbit/s. */
const BITS_A_PX = 0.22;
const KEYFRAME_EVERY = 150;
/** An encoder that works in real time may leave a frame out, and then says nothing. */
const LEFT_OUT_MS = 1000;

/** The size in which a picture is sent: as large as models look at it, with even sides, which H.264 needs. */
export function sentSize(width: number, height: number): Size {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const even = (side: number) => Math.max(16, 2 * Math.round((side * scale) / 2));
  return { width: even(width), height: even(height) };
}

/** @param fps of the camera. */
export async function openEncoder(size: Size, fps: number, allowed: readonly Codec[]): Promise<FrameEncoder> {
  if (allowed.includes("h264") && "VideoEncoder" in window) {
    const told = await VideoEncoder.isConfigSupported(configOf(size, fps)).catch(() => undefined);
    if (told?.supported) {
      return new VideoFrameEncoder(fps);
    }
  }
  return new JpegEncoder();
}

function configOf({ width, height }: Size, fps: number): VideoEncoderConfig {
  return {
    codec: H264,
    width,
    height,
    bitrate: Math.round(BITS_A_PX * width * height * fps),
    framerate: fps,
    latencyMode: "realtime",
    avc: { format: "annexb" },
  };
}

/** Draws pictures in the size in which they are sent. */
class Scaled {
  readonly canvas = new OffscreenCanvas(16, 16);
  private readonly context = this.canvas.getContext("2d", { alpha: false });

  draw({ frame }: Picture, { width, height }: Size): void {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    this.context?.drawImage(frame, 0, 0, width, height);
  }
}

/**
 * A copy of a camera's frame, to be held while the server looks at it: cameras have few buffers, and stop where they get
 * none back.
 */
export function copyOf(frame: VideoFrame | ImageBitmap, width: number, height: number): ImageBitmap {
  const scale = Math.min(1, LONGEST_HELD / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  canvas.getContext("2d", { alpha: false })?.drawImage(frame, 0, 0, canvas.width, canvas.height);
  return canvas.transferToImageBitmap();
}

class JpegEncoder implements FrameEncoder {
  readonly codec = "jpeg";
  private readonly scaled = new Scaled();

  async encode(picture: Picture): Promise<Encoded> {
    const size = sentSize(picture.width, picture.height);
    this.scaled.draw(picture, size);
    const blob = await this.scaled.canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
    const data = new Uint8Array(await blob.arrayBuffer());
    return { data, keyframe: true, ...size };
  }

  close(): void {}
}

class VideoFrameEncoder implements FrameEncoder {
  readonly codec = "h264";
  private readonly fps: number;
  private readonly scaled = new Scaled();
  private readonly encoder: VideoEncoder;
  private size: Size = { width: 0, height: 0 };
  private waits: { timestamp: number; resolve: (chunk?: EncodedVideoChunk) => void } | undefined;
  private broken: Error | undefined;
  private sinceKeyframe = 0;
  private lastTimestamp = -1;

  constructor(fps: number) {
    this.fps = Math.min(60, fps);
    this.encoder = new VideoEncoder({
      output: (chunk) => {
        if (chunk.timestamp === this.waits?.timestamp) {
          this.waits.resolve(chunk);
        }
      },
      error: (error) => {
        this.broken = error;
        this.waits?.resolve();
      },
    });
  }

  async encode(picture: Picture, keyframe: boolean): Promise<Encoded | undefined> {
    const size = sentSize(picture.width, picture.height);
    const isNewSize = size.width !== this.size.width || size.height !== this.size.height;
    if (isNewSize) {
      this.size = size;
      this.encoder.configure(configOf(size, this.fps));
    }
    const timestamp = Math.max(Math.round(1000 * performance.now()), this.lastTimestamp + 1);
    this.lastTimestamp = timestamp;
    const keyFrame = keyframe || isNewSize || this.sinceKeyframe >= KEYFRAME_EVERY;
    const frame = this.frameOf(picture, size, timestamp);
    const encoded = new Promise<EncodedVideoChunk | undefined>((resolve) => {
      this.waits = { timestamp, resolve };
      setTimeout(resolve, LEFT_OUT_MS);
    });
    try {
      this.encoder.encode(frame, { keyFrame });
    } finally {
      frame.close();
    }
    const chunk = await encoded;
    this.waits = undefined;
    if (this.broken) {
      throw this.broken;
    }
    if (!chunk) {
      return undefined;
    }
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    this.sinceKeyframe = chunk.type === "key" ? 0 : this.sinceKeyframe + 1;
    return { data, keyframe: chunk.type === "key", ...size };
  }

  close(): void {
    if (this.encoder.state !== "closed") {
      this.encoder.close();
    }
    this.waits?.resolve();
  }

  private frameOf(picture: Picture, size: Size, timestamp: number): VideoFrame {
    const { frame } = picture;
    if (frame.width === size.width && frame.height === size.height) {
      return new VideoFrame(frame, { timestamp });
    }
    this.scaled.draw(picture, size);
    return new VideoFrame(this.scaled.canvas, { timestamp });
  }
}
