/** A video file that is made here: pictures of a canvas, encoded by the browser, with exactly the times that they get. */

import {
  BufferTarget,
  EncodedPacket,
  EncodedVideoPacketSource,
  Mp4OutputFormat,
  Output,
  WebMOutputFormat,
} from "mediabunny";

interface Kind {
  readonly name: string;
  readonly codec: "avc" | "vp9" | "vp8";
  /** By how much they can do. */
  readonly strings: readonly string[];
}

/** MP4 with H.264 opens everywhere, so it comes first; by profile and level. */
const KINDS: readonly Kind[] = [
  { name: "H.264", codec: "avc", strings: ["avc1.640028", "avc1.640033", "avc1.4d0028", "avc1.42e028", "avc1.42e033"] },
  { name: "VP9", codec: "vp9", strings: ["vp09.00.40.08", "vp09.00.51.08"] },
  { name: "VP8", codec: "vp8", strings: ["vp8"] },
];
const BITS_A_PIXEL = 0.15;
const MOST_BITS_A_SECOND = 20e6;
const KEY_FRAME_EVERY = 30;
const MOST_QUEUED = 4;
/** The finest that is exact in both files and in 64-bit floating point. */
const MOST_TICKS = 1e6;

interface Rates {
  /** Times are multiples of its reciprocal. */
  readonly ticksPerSecond: number;
  /** On average. */
  readonly framesPerSecond: number;
}

interface Slot {
  readonly start: number;
  readonly seconds: number;
}

export class ClipFile {
  readonly suffix: string;
  readonly codec: string;
  private readonly canvas: HTMLCanvasElement;
  /** The canvas' part that has even sides, where its own are not: encoders take no others. */
  private readonly even: OffscreenCanvas | undefined;
  private readonly encoder: VideoEncoder;
  private readonly target = new BufferTarget();
  private readonly output: Output;
  private readonly source: EncodedVideoPacketSource;
  /** By the microseconds that the encoder knows them by. */
  private readonly slots = new Map<number, Slot>();
  private frames = 0;
  private failure: unknown;
  private written = Promise.resolve();

  private constructor(canvas: HTMLCanvasElement, kind: Kind, config: VideoEncoderConfig, { ticksPerSecond }: Rates) {
    this.canvas = canvas;
    this.codec = kind.name;
    const { width, height } = config;
    this.even = width === canvas.width && height === canvas.height ? undefined : new OffscreenCanvas(width, height);
    const format = kind.codec === "avc" ? new Mp4OutputFormat() : new WebMOutputFormat();
    this.suffix = format.fileExtension;
    this.output = new Output({ format, target: this.target });
    this.source = new EncodedVideoPacketSource(kind.codec);
    this.output.addVideoTrack(this.source, ticksPerSecond <= MOST_TICKS ? { frameRate: ticksPerSecond } : {});
    this.encoder = new VideoEncoder({
      output: (chunk, meta) => {
        this.written = this.written.then(() => this.write(chunk, meta)).catch((error: unknown) => this.fail(error));
      },
      error: (error) => this.fail(error),
    });
    this.encoder.configure(config);
  }

  /** Fails, saying why, where this browser encodes no video. */
  static async open(canvas: HTMLCanvasElement, rates: Rates): Promise<ClipFile> {
    if (typeof VideoEncoder === "undefined") {
      throw new Error(
        window.isSecureContext
          ? "This browser cannot save clips, for it encodes no video. Current Chrome, Edge, Safari and Firefox do."
          : "This browser saves clips only over HTTPS. Open this page by an address that begins with https.",
      );
    }
    const [width, height] = [canvas.width & ~1, canvas.height & ~1];
    const framerate = Math.min(240, Math.max(1, rates.framesPerSecond));
    const bitrate = Math.round(Math.min(MOST_BITS_A_SECOND, BITS_A_PIXEL * width * height * framerate));
    for (const kind of KINDS) {
      for (const codec of kind.strings) {
        const config = { codec, width, height, bitrate, framerate };
        const { supported } = await VideoEncoder.isConfigSupported(config).catch(() => ({ supported: false }));
        if (supported) {
          const file = new ClipFile(canvas, kind, config, rates);
          await file.output.start();
          return file;
        }
      }
    }
    throw new Error(
      `This browser cannot save clips: it encodes neither H.264 nor VP9 nor VP8 of ${width} by ${height}.`,
    );
  }

  /** Add what the canvas shows now, from `start` on, for so long. */
  async add(start: number, seconds: number): Promise<void> {
    const timestamp = Math.round(start * 1e6);
    this.even?.getContext("2d")?.drawImage(this.canvas, 0, 0);
    const frame = new VideoFrame(this.even ?? this.canvas, { timestamp, duration: Math.round(seconds * 1e6) });
    this.slots.set(timestamp, { start, seconds });
    try {
      this.rethrow();
      this.encoder.encode(frame, { keyFrame: this.frames % KEY_FRAME_EVERY === 0 });
    } finally {
      frame.close();
    }
    this.frames += 1;
    while (this.encoder.state === "configured" && this.encoder.encodeQueueSize > MOST_QUEUED) {
      await new Promise((resolve) => this.encoder.addEventListener("dequeue", resolve, { once: true }));
    }
    await this.written;
    this.rethrow();
  }

  async finish(): Promise<Blob> {
    await this.encoder.flush();
    await this.written;
    this.rethrow();
    if (this.slots.size > 0) {
      throw new Error(`The clip could not be saved: the browser's encoder lost ${this.slots.size} frames.`);
    }
    await this.output.finalize();
    return new Blob([this.target.buffer as ArrayBuffer], { type: this.output.format.mimeType });
  }

  /** Let go of what it holds, finished or not. */
  close(): void {
    if (this.encoder.state !== "closed") {
      this.encoder.close();
    }
    if (this.output.state === "started") {
      void this.output.cancel();
    }
  }

  private async write(chunk: EncodedVideoChunk, meta: EncodedVideoChunkMetadata | undefined): Promise<void> {
    const slot = this.slots.get(chunk.timestamp);
    if (!slot) {
      throw new Error("The clip could not be saved: the browser's encoder changed the time of a frame.");
    }
    this.slots.delete(chunk.timestamp);
    const packet = EncodedPacket.fromEncodedChunk(chunk).clone({ timestamp: slot.start, duration: slot.seconds });
    await this.source.add(packet, meta);
  }

  private fail(error: unknown): void {
    this.failure ??= error;
  }

  private rethrow(): void {
    if (this.failure !== undefined) {
      throw this.failure;
    }
  }
}
