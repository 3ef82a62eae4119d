/** A video decoded here by WebCodecs, so that every picture comes with its own time. */

import {
  AudioBufferSink,
  Input,
  type InputVideoTrack,
  MATROSKA,
  MP4,
  MPEG_TS,
  QTFF,
  UrlSource,
  type VideoSample,
  type VideoSampleSink,
  WEBM,
} from "mediabunny";
import { fetchGood, passes } from "../api.ts";
import { findTrack } from "./find_track.ts";
import type { FrameTable } from "./frame_table.ts";
import type { Footage, Picture, Reel } from "./picture.ts";
import { BufferedSound } from "./sound.ts";
import { SparingSink } from "./sparing_sink.ts";

const CACHED_FILE_BYTES = 32 * 2 ** 20;
/** Of pictures that are kept for steps backward. */
const KEPT_PICTURE_BYTES = 96 * 2 ** 20;
const MOST_KEPT = 24;
/** Decoded ahead while playing, beside the few that the decoder holds. */
const AHEAD = 3;
const TRIES = 4;

export class DecodedVideo implements Footage {
  readonly certainty = "decoded";
  readonly sound: BufferedSound | undefined;
  private readonly input: Input;
  private readonly sink: VideoSampleSink;
  private readonly table: FrameTable;
  private readonly kept: KeptPictures;
  /** Where decoding goes on without a seek: samples from the frame after the last one taken. */
  private samples: AsyncGenerator<VideoSample, void, unknown> | undefined;
  private next = 0;

  private constructor(input: Input, track: InputVideoTrack, table: FrameTable, sound: BufferedSound | undefined) {
    this.input = input;
    this.sink = new SparingSink(track);
    this.table = table;
    this.sound = sound;
    this.kept = new KeptPictures(table.header.width, table.header.height);
  }

  /** Opens a video; fails, saying why, where this browser does not decode it. */
  static async open(url: string, table: FrameTable): Promise<DecodedVideo> {
    if (!("VideoDecoder" in window)) {
      throw new Error("it has no WebCodecs here");
    }
    const source = new UrlSource(url, {
      maxCacheSize: CACHED_FILE_BYTES,
      fetchFn: fetchGood,
      getRetryDelay: (tries, error) => (tries < TRIES && (passes(error) || isCut(error)) ? 0.2 * 2 ** tries : null),
      // Of what was read ahead: who needs it reads it again, and is told.
      handleUnhandledError: () => undefined,
    });
    const input = new Input({ source, formats: [MP4, QTFF, MATROSKA, WEBM, MPEG_TS] });
    try {
      const track = await findTrack(input, table);
      const heard = await input.getPrimaryAudioTrack();
      const sound = heard && (await heard.canDecode()) ? new BufferedSound(new AudioBufferSink(heard)) : undefined;
      return new DecodedVideo(input, track, table, sound);
    } catch (error) {
      input.dispose();
      throw error;
    }
  }

  async picture(frame: number, superseded: () => boolean): Promise<Picture | undefined> {
    const kept = this.kept.get(frame);
    if (kept) {
      return kept;
    }
    if (!this.samples || frame < this.next || frame > this.next + MOST_KEPT) {
      const backward = this.samples !== undefined && frame === this.next - 2;
      const from = backward ? Math.max(0, frame - this.kept.most + 2) : frame;
      await this.seek(from);
    }
    while (this.samples) {
      const { value: sample, done } = await this.samples.next().catch((error: unknown) => {
        this.samples = undefined;
        throw error;
      });
      if (done) {
        break;
      }
      const found = this.table.find(sample.timestamp);
      this.next = found === undefined ? this.next : found + 1;
      if (found !== undefined && frame - found < this.kept.most) {
        this.kept.add(found, sample);
      }
      if (found === frame) {
        return new SamplePicture(sample, found);
      }
      const passed = sample.timestamp > this.table.timeOf(frame);
      sample.close();
      if (superseded() || passed) {
        return undefined;
      }
    }
    return undefined;
  }

  play(frame: number): Reel {
    // Two decoders at once would hold twice the pictures.
    void this.samples?.return();
    this.samples = undefined;
    return new DecodedReel(this.sink.samples(this.table.middleOf(frame)), this.table);
  }

  dispose(): void {
    this.sound?.dispose();
    this.kept.clear();
    // Else those that are decoded ahead stay open, and with them the decoder.
    void this.samples?.return();
    this.samples = undefined;
    this.input.dispose();
  }

  private async seek(frame: number): Promise<void> {
    await this.samples?.return();
    this.samples = this.sink.samples(this.table.middleOf(frame));
    this.next = frame;
  }
}

/** Whether an answer broke off. */
function isCut(error: unknown): boolean {
  return error instanceof TypeError;
}

class SamplePicture implements Picture {
  readonly time: number;
  readonly frame: number | undefined;
  private readonly sample: VideoSample;

  constructor(sample: VideoSample, frame: number | undefined) {
    this.sample = sample;
    this.time = sample.timestamp;
    this.frame = frame;
  }

  draw(context: CanvasRenderingContext2D, width: number, height: number): void {
    this.sample.draw(context, 0, 0, width, height);
  }

  close(): void {
    this.sample.close();
  }
}

class KeptPicture implements Picture {
  readonly time: number;
  readonly frame: number;
  private readonly bitmap: ImageBitmap;

  constructor(bitmap: ImageBitmap, time: number, frame: number) {
    this.bitmap = bitmap;
    this.time = time;
    this.frame = frame;
  }

  draw(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.drawImage(this.bitmap, 0, 0, width, height);
  }

  close(): void {
    // Its keeper closes it.
  }
}

/** The last pictures, copied out of the decoder: it has few of its own, and stops where they are held. */
class KeptPictures {
  readonly most: number;
  private readonly canvas: OffscreenCanvas;
  private readonly pictures = new Map<number, { bitmap: ImageBitmap; time: number }>();

  constructor(width: number, height: number) {
    const scale = Math.min(1, 1920 / Math.max(width, height));
    this.canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
    const bytes = 4 * this.canvas.width * this.canvas.height;
    this.most = Math.max(2, Math.min(MOST_KEPT, Math.floor(KEPT_PICTURE_BYTES / bytes)));
  }

  add(frame: number, sample: VideoSample): void {
    const context = this.canvas.getContext("2d");
    if (!context || this.pictures.has(frame)) {
      return;
    }
    sample.draw(context, 0, 0, this.canvas.width, this.canvas.height);
    this.pictures.set(frame, { bitmap: this.canvas.transferToImageBitmap(), time: sample.timestamp });
    for (const [old, { bitmap }] of this.pictures) {
      if (this.pictures.size <= this.most) {
        break;
      }
      bitmap.close();
      this.pictures.delete(old);
    }
  }

  get(frame: number): Picture | undefined {
    const kept = this.pictures.get(frame);
    return kept && new KeptPicture(kept.bitmap, kept.time, frame);
  }

  clear(): void {
    for (const { bitmap } of this.pictures.values()) {
      bitmap.close();
    }
    this.pictures.clear();
  }
}

class DecodedReel implements Reel {
  readonly ownClock = false;
  ended = false;
  error: unknown;
  private readonly samples: AsyncGenerator<VideoSample, void, unknown>;
  private readonly table: FrameTable;
  private readonly waiting: VideoSample[] = [];
  private exhausted = false;
  private stopped = false;
  private reading = false;

  constructor(samples: AsyncGenerator<VideoSample, void, unknown>, table: FrameTable) {
    this.samples = samples;
    this.table = table;
    void this.readAhead();
  }

  get nextTime(): number | undefined {
    return this.waiting[0]?.timestamp;
  }

  due(seconds: number): Picture | undefined {
    let picture: VideoSample | undefined;
    while (this.waiting[0] && this.waiting[0].timestamp <= seconds) {
      picture?.close();
      picture = this.waiting.shift();
    }
    this.ended = this.exhausted && this.waiting.length === 0;
    void this.readAhead();
    return picture && new SamplePicture(picture, this.table.find(picture.timestamp));
  }

  stop(): void {
    this.stopped = true;
    for (const sample of this.waiting.splice(0)) {
      sample.close();
    }
    void this.samples.return();
  }

  private async readAhead(): Promise<void> {
    if (this.reading || this.exhausted) {
      return;
    }
    this.reading = true;
    try {
      while (!this.stopped && this.waiting.length < AHEAD) {
        const { value: sample, done } = await this.samples.next();
        if (done) {
          this.exhausted = true;
          break;
        }
        if (this.stopped) {
          sample.close();
        } else {
          this.waiting.push(sample);
        }
      }
    } catch (error) {
      this.error = error;
      this.exhausted = true;
    }
    this.reading = false;
  }
}
