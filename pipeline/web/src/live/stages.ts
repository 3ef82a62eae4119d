/** The stages of a frame's way to the server and back, in the browser's clock. */

import type { Stage } from "../camera/stage_times.ts";
import type { Result } from "./protocol.ts";
import type { ServerClock } from "./server_clock.ts";

/**
 * 78 ms from the capture to the picture. Capture 3, upload 20, process 25, download 20 and render 5 are the design's;
 * the 5 that are left to 78 are shared by what it does not name: encode, decode, and waiting for the device.
 */
export const FULL_STAGES: readonly Stage[] = [
  { name: "Capture", budgetMs: 3 },
  { name: "Encode", budgetMs: 2 },
  { name: "Upload", budgetMs: 20 },
  { name: "Decode", budgetMs: 1 },
  { name: "Wait", budgetMs: 2 },
  { name: "Process", budgetMs: 25 },
  { name: "Download", budgetMs: 20 },
  { name: "Render", budgetMs: 5 },
];

/** What the page knows of a frame that it sent. */
export interface Sent {
  readonly capturedAtMs: number;
  readonly captureMs: number;
  readonly encodeMs: number;
  readonly sentAtMs: number;
}

/** How long each stage took of an analysed frame, by name; those that need the server's clock only once it is known. */
export function stageTimes(sent: Sent, result: Result, arrivedAtMs: number, clock: ServerClock): [string, number][] {
  const received = clock.here(result.receivedAtMs);
  const answered = clock.here(result.sentAtMs);
  return [
    ["Capture", sent.captureMs],
    ["Encode", sent.encodeMs],
    ...(received === undefined ? [] : ([["Upload", Math.max(0, received - sent.sentAtMs)]] as [string, number][])),
    ["Decode", result.decodeMs],
    ["Wait", result.waitMs],
    ["Process", result.processMs],
    ...(answered === undefined ? [] : ([["Download", Math.max(0, arrivedAtMs - answered)]] as [string, number][])),
  ];
}
