/** Records a camera. The frames take a way of their own, so that a busy page loses none. */

import { bitRateFor } from "../figures/room.ts";
import type { Answer, Order, Progress } from "./record_messages.ts";
import { readRecording } from "./recordings.ts";

/** Frames that may wait for the encoder; cameras have no more than some to lend. */
const MOST_WAITING = 8;
/** How often the browser's own recorder hands over what it has. */
const HAND_OVER_MS = 1000;

/** A finished recording. */
export interface Finished extends Progress {
  readonly file: File;
  /** Why it ended by itself; empty where it was stopped. */
  readonly trouble: string;
}

interface Running {
  readonly name: string;
  readonly onProgress: (progress: Progress) => void;
  readonly resolve: (finished: Finished) => void;
  readonly reject: (reason: unknown) => void;
  readonly stop: () => void;
}

export class Recorder {
  private readonly worker: Worker;
  private running: Running | undefined;
  private closed = false;

  /** Starts its worker, so that nothing is asked of the network when it is to record. */
  constructor() {
    this.worker = new Worker(new URL("./record_worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => void this.heard(data);
    this.worker.onerror = (event) =>
      this.end()?.reject(new Error(event.message || "The recording could not be written."));
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /**
   * Record until `stop` is called or the camera ends; resolves with the file.
   *
   * @param frameRate that the camera gives, frames a second.
   */
  record(track: MediaStreamVideoTrack, frameRate: number, onProgress: (progress: Progress) => void): Promise<Finished> {
    const own = track.clone();
    const { width = 1280, height = 720 } = track.getSettings();
    const bitsPerS = bitRateFor(width, height, frameRate);
    return new Promise((resolve, reject) => {
      const began = { onProgress, resolve, reject };
      if ("MediaStreamTrackProcessor" in window && "VideoEncoder" in window) {
        const frames = new MediaStreamTrackProcessor({ track: own, maxBufferSize: MOST_WAITING }).readable;
        this.running = { ...began, name: nameNow("mp4"), stop: () => own.stop() };
        this.order({ kind: "frames", name: this.running.name, frames, bitsPerS, frameRate }, [frames]);
      } else {
        this.running = this.byBrowser(own, bitsPerS, began);
      }
    });
  }

  stop(): void {
    this.running?.stop();
  }

  /** Stop; the worker ends once the file is whole. */
  close(): void {
    this.closed = true;
    this.stop();
    if (!this.running) {
      this.worker.terminate();
    }
  }

  /** Firefox and Safari: their own recorder keeps the camera's times, too; it does not tell how many frames it wrote. */
  private byBrowser(
    track: MediaStreamTrack,
    bitsPerS: number,
    began: Pick<Running, "onProgress" | "resolve" | "reject">,
  ): Running {
    const mp4 = MediaRecorder.isTypeSupported("video/mp4");
    const recorder = new MediaRecorder(new MediaStream([track]), {
      mimeType: mp4 ? "video/mp4" : "video/webm",
      videoBitsPerSecond: bitsPerS,
    });
    const name = nameNow(mp4 ? "mp4" : "webm");
    const beganMs = performance.now();
    let handed = Promise.resolve();
    recorder.ondataavailable = ({ data }) => {
      const seconds = (performance.now() - beganMs) / 1000;
      handed = handed.then(async () => {
        const bytes = await data.arrayBuffer();
        this.order({ kind: "bytes", bytes, seconds }, [bytes]);
      });
    };
    recorder.onstop = () => void handed.then(() => this.order({ kind: "close" }));
    this.order({ kind: "open", name });
    recorder.start(HAND_OVER_MS);
    return { ...began, name, stop: () => track.stop() };
  }

  private async heard(answer: Answer): Promise<void> {
    if (answer.kind === "progress") {
      this.running?.onProgress(answer);
      return;
    }
    const ended = this.end();
    if (this.closed) {
      this.worker.terminate();
    }
    if (answer.kind === "failed") {
      ended?.reject(new Error(answer.reason));
    } else if (ended) {
      const { file: held, ...progress } = answer;
      try {
        const file = held
          ? new File([held], ended.name, { lastModified: Date.now() })
          : await readRecording(ended.name);
        ended.resolve({ ...progress, file });
      } catch (error) {
        ended.reject(error);
      }
    }
  }

  private end(): Running | undefined {
    const ended = this.running;
    ended?.stop();
    this.running = undefined;
    return ended;
  }

  private order(order: Order, transfer: Transferable[] = []): void {
    this.worker.postMessage(order, transfer);
  }
}

/** `camera 2026-11-28 01-20-33.mp4`, in this device's time. */
function nameNow(ending: string): string {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
  return `camera ${local.slice(0, 10)} ${local.slice(11, 19).replaceAll(":", "-")}.${ending}`;
}
