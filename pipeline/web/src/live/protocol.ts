/** The messages of a live session, version 1, as docs/live.md tells them. Pure: bytes and texts in, values out. */

import type { Person } from "../player/pose_segment.ts";

export const VERSION = 1;
export const MAX_MESSAGE_BYTES = 1 << 20;

const FRAME_KIND = 1;
const FRAME_BYTES = 24;
const KEYFRAME = 1;
const RESULT_KIND = 2;
const RESULT_BYTES = 48;
const PERSON_BYTES = 9;
const KEYPOINT_BYTES = 5;
const STEPS_PER_PX = 8;

export type Codec = "h264" | "jpeg";
/** How much of a session the server analyses: every frame, one every so often, or none. */
export type Mode = "full" | "hybrid" | "preview";

/** Why a connection was closed. */
export const CLOSED = {
  done: 1000,
  tooLarge: 1009,
  restarts: 1012,
  over: 4000,
  overload: 4001,
  refused: 4003,
  signedOut: 4008,
  protocol: 4009,
} as const;

export interface Hello {
  readonly codec: Codec;
  readonly width: number;
  readonly height: number;
  readonly mode: "full" | "hybrid";
  readonly fps: number;
  readonly name: string;
  /** Whether pictures and poses are to become a video of the team. */
  readonly keep: boolean;
}

export interface SentFrame {
  readonly id: number;
  readonly keyframe: boolean;
  readonly capturedAtMs: number;
  readonly captureMs: number;
  readonly encodeMs: number;
  /** One H.264 access unit (Annex B), or one JPEG. */
  readonly data: Uint8Array;
}

export interface Ready {
  readonly type: "ready";
  readonly session: string;
  readonly mode: "full" | "hybrid";
  readonly model: string;
  readonly device: string;
  readonly keypoints: readonly string[];
  readonly skeleton: readonly (readonly [number, number])[];
  readonly credits: number;
  readonly budget_ms: number;
  readonly call_ms: number;
  readonly every_ms: number | null;
  /** Of a session that is to be kept. */
  readonly kept?: boolean;
}

export interface Summary {
  readonly type: "summary";
  readonly received: number;
  readonly analysed: number;
  readonly superseded: number;
  readonly failed: number;
  /** Of a session that was to be kept: the video that it became. */
  readonly video?: string | null;
  /** Why it was not kept, or not all of it. */
  readonly not_kept?: string | null;
}

export type ServerText =
  | Ready
  | Summary
  | { readonly type: "starting"; readonly reason: string }
  | { readonly type: "refused"; readonly reason: string; readonly offer: "hybrid" | "preview" }
  | { readonly type: "clock"; readonly sent_ms: number; readonly received_ms: number; readonly answered_ms: number }
  | { readonly type: "keyframe"; readonly reason: string }
  | { readonly type: "not_kept"; readonly reason: string }
  | { readonly type: "mode"; readonly mode: Mode; readonly every_ms: number | null; readonly reason: string }
  | { readonly type: "ended"; readonly reason: string };

export const FATES = ["analysed", "superseded", "failed"] as const;
export type Fate = (typeof FATES)[number];

/** What became of one frame. */
export interface Result {
  readonly id: number;
  readonly fate: Fate;
  readonly capturedAtMs: number;
  /** By the server's clock. */
  readonly receivedAtMs: number;
  /** By the server's clock. */
  readonly sentAtMs: number;
  readonly decodeMs: number;
  readonly waitMs: number;
  readonly processMs: number;
  readonly batch: number;
  /** In pixels of the picture that was sent, best score first; empty but for analysed frames. */
  readonly people: readonly Person[];
  /** Of a frame that failed. */
  readonly reason: string;
}

export function helloText(hello: Hello): string {
  return JSON.stringify({ type: "hello", version: VERSION, ...hello });
}

export function frameBytes(frame: SentFrame): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(FRAME_BYTES + frame.data.byteLength);
  const view = new DataView(message.buffer);
  view.setUint8(0, FRAME_KIND);
  view.setUint8(1, frame.keyframe ? KEYFRAME : 0);
  view.setUint32(4, frame.id, true);
  view.setFloat64(8, frame.capturedAtMs, true);
  view.setFloat32(16, frame.captureMs, true);
  view.setFloat32(20, frame.encodeMs, true);
  message.set(frame.data, FRAME_BYTES);
  return message;
}

/** A text message of the server; undefined for one of a type that this version does not know. */
export function readText(text: string): ServerText | undefined {
  const found: unknown = JSON.parse(text);
  const known = ["starting", "ready", "summary", "refused", "clock", "keyframe", "not_kept", "mode", "ended"];
  const type = typeof found === "object" && found !== null && "type" in found ? found.type : undefined;
  return known.some((each) => each === type) ? (found as ServerText) : undefined;
}

/** A binary message of the server. Throws a `RangeError` where it is no result. */
export function readResult(message: ArrayBuffer): Result {
  const view = new DataView(message);
  if (message.byteLength < RESULT_BYTES || view.getUint8(0) !== RESULT_KIND) {
    throw new RangeError("a binary message of the server is a result");
  }
  const fate = FATES[view.getUint8(1)];
  if (!fate) {
    throw new RangeError(`there is no fate ${view.getUint8(1)}`);
  }
  return {
    fate,
    id: view.getUint32(4, true),
    capturedAtMs: view.getFloat64(8, true),
    receivedAtMs: view.getFloat64(16, true),
    sentAtMs: view.getFloat64(24, true),
    decodeMs: view.getFloat32(32, true),
    waitMs: view.getFloat32(36, true),
    processMs: view.getFloat32(40, true),
    batch: view.getUint16(44, true),
    people: fate === "analysed" ? readPeople(view) : [],
    reason: fate === "failed" ? new TextDecoder().decode(new Uint8Array(message, RESULT_BYTES)) : "",
  };
}

function readPeople(view: DataView): Person[] {
  const keypoints = view.getUint16(2, true);
  const count = view.getUint16(46, true);
  const size = PERSON_BYTES + KEYPOINT_BYTES * keypoints;
  if (view.byteLength !== RESULT_BYTES + count * size) {
    throw new RangeError("the result has not the length of its people");
  }
  return Array.from({ length: count }, (_, index) => readPerson(view, RESULT_BYTES + index * size, keypoints));
}

function readPerson(view: DataView, at: number, keypoints: number): Person {
  const px = (index: number) => view.getInt16(at + 1 + 2 * index, true) / STEPS_PER_PX;
  const points = Array.from({ length: keypoints }, (_, index) => ({
    x: px(4 + index),
    y: px(4 + keypoints + index),
    confidence: view.getUint8(at + PERSON_BYTES + 4 * keypoints + index) / 255,
  }));
  return { score: view.getUint8(at) / 255, box: [px(0), px(1), px(2), px(3)], points };
}
