/** What the page and the worker that writes recordings say to each other. */

/** The folder of recordings in the storage that belongs to this site alone. */
export const FOLDER = "recordings";

export type Order =
  /** Encode these frames; the recording ends with them. */
  | {
      readonly kind: "frames";
      readonly name: string;
      readonly frames: ReadableStream<VideoFrame>;
      readonly bitsPerS: number;
      readonly frameRate: number;
    }
  /** Write bytes that come encoded, from `MediaRecorder`. */
  | { readonly kind: "open"; readonly name: string }
  | { readonly kind: "bytes"; readonly bytes: ArrayBuffer; readonly seconds: number }
  | { readonly kind: "close" };

export interface Progress {
  /** That were written; undefined where the browser's own recorder does not count. */
  readonly frames: number | undefined;
  /** That should have come by the camera's frame rate, and did not: too little light, or a device that is too busy. */
  readonly missed: number;
  readonly seconds: number;
  readonly bytes: number;
}

export type Answer =
  | ({ readonly kind: "progress" } & Progress)
  /** `file` where it is in memory only; otherwise it is in the folder. `trouble` says why it ended by itself. */
  | ({ readonly kind: "done"; readonly file: Blob | undefined; readonly trouble: string } & Progress)
  | { readonly kind: "failed"; readonly reason: string };
