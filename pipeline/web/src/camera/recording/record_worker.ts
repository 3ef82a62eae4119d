/**
 * Writes a recording while it goes on: onto the device where the browser lets pages (so that a tab that crashes loses two
 * seconds at most), else into memory. Each frame keeps the time at which it was captured.
 */

import { canEncodeVideo, Mp4OutputFormat, Output, StreamTarget, VideoSample, VideoSampleSource } from "mediabunny";
import { type Answer, FOLDER, type Order, type Progress } from "./record_messages.ts";

/** A keyframe and a fragment so often: what a crash can lose, and what a viewer must decode to get anywhere. */
const FRAGMENT_S = 1;
/** From one message about the progress to the next. */
const TELL_MS = 250;

interface Sink {
  write(bytes: Uint8Array<ArrayBuffer>, at: number): void;
  /** Make sure that what was written outlives a crash. */
  flush(): void;
  /** Gives the file where it is in memory only. */
  close(): Blob | undefined;
}

const NOTHING: Progress = { frames: 0, missed: 0, seconds: 0, bytes: 0 };

let sink: Promise<Sink> | undefined;
let progress = NOTHING;
/** Orders one after the other. */
let work: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<Order>) => {
  work = work
    .then(() => follow(data))
    .catch((error: unknown) => {
      sink = undefined;
      tell({ kind: "failed", reason: reasonOf(error) });
    });
};

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function tell(answer: Answer): void {
  self.postMessage(answer);
}

async function follow(order: Order): Promise<void> {
  switch (order.kind) {
    case "frames":
      await encode(order);
      return;
    case "open":
      progress = { ...NOTHING, frames: undefined };
      sink = openSink(order.name);
      await sink;
      return;
    case "bytes": {
      const to = await sink;
      to?.write(new Uint8Array(order.bytes), progress.bytes);
      to?.flush();
      progress = { ...progress, bytes: progress.bytes + order.bytes.byteLength, seconds: order.seconds };
      tell({ kind: "progress", ...progress });
      return;
    }
    case "close": {
      const file = (await sink)?.close();
      sink = undefined;
      tell({ kind: "done", file, trouble: "", ...progress });
    }
  }
}

async function encode({ name, frames, bitsPerS, frameRate }: Extract<Order, { kind: "frames" }>): Promise<void> {
  progress = NOTHING;
  const reader = frames.getReader();
  const first = await reader.read();
  if (first.done) {
    throw new Error("The camera gave no picture.");
  }
  const to = await openSink(name);
  let trouble = "";
  try {
    await encodeInto(to, first.value, reader, bitsPerS, frameRate);
  } catch (error) {
    trouble = reasonOf(error);
  }
  const file = to.close();
  tell(progress.frames ? { kind: "done", file, trouble, ...progress } : { kind: "failed", reason: trouble });
}

async function encodeInto(
  to: Sink,
  first: VideoFrame,
  reader: ReadableStreamDefaultReader<VideoFrame>,
  bitsPerS: number,
  frameRate: number,
): Promise<void> {
  const { displayWidth: width, displayHeight: height } = first;
  const h264 = await canEncodeVideo("avc", { width, height, bitrate: bitsPerS });
  const source = new VideoSampleSource({
    codec: h264 ? "avc" : "vp9",
    bitrate: bitsPerS,
    keyFrameInterval: FRAGMENT_S,
    // Where a phone is turned the picture is fitted in.
    sizeChangeBehavior: "contain",
  });
  const writable = new WritableStream<{ data: Uint8Array<ArrayBuffer>; position: number }>({
    write({ data, position }) {
      to.write(data, position);
      progress = { ...progress, bytes: Math.max(progress.bytes, position + data.byteLength) };
    },
  });
  const format = new Mp4OutputFormat({
    fastStart: "fragmented",
    minimumFragmentDuration: FRAGMENT_S,
    onMoof: () => to.flush(),
  });
  const output = new Output({ format, target: new StreamTarget(writable) });
  output.addVideoTrack(source);
  await output.start();
  try {
    await addAll(source, first, reader, frameRate);
  } finally {
    await output.finalize();
  }
}

/** Add frames until there are no more; each keeps its time, counted from the first one. */
async function addAll(
  source: VideoSampleSource,
  first: VideoFrame,
  reader: ReadableStreamDefaultReader<VideoFrame>,
  frameRate: number,
): Promise<void> {
  const beganUs = first.timestamp;
  let [lastUs, toldMs] = [Number.NEGATIVE_INFINITY, 0];
  for (let frame: VideoFrame | undefined = first; frame; frame = (await reader.read()).value) {
    const atUs = frame.timestamp - beganUs;
    if (atUs <= lastUs) {
      frame.close(); // the same frame again
      continue;
    }
    const missed = Math.max(0, Math.round(((atUs - lastUs) * frameRate) / 1e6) - 1);
    const sample = new VideoSample(frame, { timestamp: atUs / 1e6, duration: 1 / frameRate });
    await source.add(sample);
    sample.close();
    progress = {
      ...progress,
      frames: (progress.frames ?? 0) + 1,
      missed: progress.missed + (Number.isFinite(missed) ? missed : 0),
      seconds: atUs / 1e6 + 1 / frameRate,
    };
    lastUs = atUs;
    if (performance.now() - toldMs > TELL_MS) {
      toldMs = performance.now();
      tell({ kind: "progress", ...progress });
    }
  }
}

async function openSink(name: string): Promise<Sink> {
  const onDevice = await openFile(name).catch(() => undefined);
  return onDevice ?? inMemory();
}

async function openFile(name: string): Promise<Sink> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(FOLDER, { create: true });
  const handle = await folder.getFileHandle(name, { create: true });
  const file = await handle.createSyncAccessHandle();
  return {
    write: (bytes, at) => {
      const written = file.write(bytes, { at });
      if (written < bytes.byteLength) {
        throw new Error("This device is full. What was recorded so far is kept.");
      }
    },
    flush: () => file.flush(),
    close: () => {
      file.flush();
      file.close();
      return undefined;
    },
  };
}

function inMemory(): Sink {
  const parts: { readonly bytes: Uint8Array<ArrayBuffer>; readonly at: number }[] = [];
  return {
    // Fragmented MP4 is written in order, without a place being written twice.
    write: (bytes, at) => {
      parts.push({ bytes: bytes.slice(), at });
    },
    flush: () => undefined,
    close: () => new Blob(parts.map(({ bytes }) => bytes)),
  };
}
