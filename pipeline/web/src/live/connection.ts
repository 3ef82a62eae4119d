/**
 * One connection of a live session: frames go up by credit, newest first, and each result comes back to the frame that
 * was held for it. It never connects again by itself; `LiveLink` does.
 */

import type { CameraFrame } from "../camera/camera.ts";
import { Counts } from "./counts.ts";
import { copyOf, type FrameEncoder } from "./encoder.ts";
import { HeldFrames } from "./held_frames.ts";
import { nextSendMs } from "./pace.ts";
import {
  CLOSED,
  frameBytes,
  type Hello,
  helloText,
  type Ready,
  type Result,
  readResult,
  readText,
  type ServerText,
  type Summary,
} from "./protocol.ts";
import { ServerClock } from "./server_clock.ts";
import type { Sent } from "./stages.ts";

/** A frame for the server. */
export interface Outgoing extends CameraFrame {
  /** What the preview found in it, `(33, 4)`, where it looked. */
  readonly preview?: Float32Array | undefined;
  readonly isPreviewed?: boolean;
}

/** A frame that was sent: `frame` is a copy, and has its own size. */
export interface Held extends Omit<Outgoing, "frame">, Sent {
  readonly frame: ImageBitmap;
  /** Of the picture as it was sent, in which results tell places, in px. */
  readonly sentWidth: number;
  readonly sentHeight: number;
}

export interface Ended {
  readonly code: number;
  readonly reason: string;
  readonly wasReady: boolean;
  readonly offer: "hybrid" | "preview" | undefined;
}

export interface Listener {
  /** It is not ready yet, and takes longer than a connection does, with the reason. */
  starting(reason: string): void;
  ready(ready: Ready): void;
  mode(message: Extract<ServerText, { type: "mode" }>): void;
  /** `held` is the listener's to close. */
  result(result: Result, held: Held, arrivedAtMs: number): void;
  encoderBroke(): void;
  /** The session is not kept, or no longer. */
  notKept(reason: string): void;
  ended(ended: Ended): void;
}

const CLOCK_EVERY_MS = 2000;
/** The first exchanges follow each other at once. */
const FIRST_EXCHANGES = 4;
/** A server that lives answers the question for its clock. */
const SILENT_MS = 8000;
const CONNECT_MS = 10_000;
/** A server that has to load its model says so, and takes two minutes at most. */
const STARTING_MS = 130_000;
/** Of a figure that follows what is measured. */
const NEWEST_SHARE = 0.2;
const LAST_RESULTS_MS = 12_000;

export class LiveConnection {
  readonly counts = new Counts();
  readonly clock = new ServerClock();
  ready: Ready | undefined;
  summary: Summary | undefined;
  private readonly socket: WebSocket;
  private readonly encoder: FrameEncoder;
  private readonly on: Listener;
  private held = new HeldFrames<Held>(0);
  private credits = 0;
  private firstId = Number.POSITIVE_INFINITY;
  private needsKeyframe = true;
  private encoding: Promise<unknown> | undefined;
  private ending = false;
  private over = false;
  private refused: Extract<ServerText, { type: "refused" }> | undefined;
  private said = "";
  private exchanges = 0;
  private lastSentMs = Number.NEGATIVE_INFINITY;
  private lastResultMs = Number.NEGATIVE_INFINITY;
  private processMs = 0;
  private wayMs = 0;
  private heardMs = performance.now();
  private timers: number[] = [];

  constructor(url: string, hello: Hello, encoder: FrameEncoder, on: Listener) {
    this.encoder = encoder;
    this.on = on;
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.socket.send(helloText(hello));
    this.socket.onmessage = ({ data }) => this.take(data, performance.now());
    this.socket.onclose = ({ code, reason }) => this.end(code, reason);
    this.waitReady(CONNECT_MS);
  }

  /** A frame was captured. Those captured before the server was ready are not of this session. */
  captured(id: number): void {
    if (this.ready && !this.ending && !this.over) {
      this.firstId = Math.min(this.firstId, id);
      this.counts.capture();
    }
  }

  /** Whether this frame may go now. Asked before it is encoded: what was encoded has to be sent. */
  takes(id: number): boolean {
    const free = !this.encoding && this.credits > 0 && this.socket.bufferedAmount === 0 && !this.isTooSoon();
    return free && this.ready !== undefined && !this.ending && !this.over && id >= this.firstId;
  }

  /** Encode a copy of a frame and send it; the frame stays its owner's. Only where it `takes` it. */
  send(one: Outgoing, keyframe = false): void {
    const began = performance.now();
    const copy = copyOf(one.frame, one.width, one.height);
    this.encoding = this.encodeAndSend({ ...one, frame: copy }, keyframe, began).finally(() => {
      this.encoding = undefined;
    });
  }

  wish(mode: "full" | "hybrid"): void {
    this.say({ type: "mode", mode });
  }

  /** End the session; `ended` follows once the server has counted, too. */
  async bye(): Promise<void> {
    this.ending = true;
    await this.encoding;
    if (this.over || !this.ready) {
      this.abandon();
      return;
    }
    const { captured, dropped, sent } = this.counts.now();
    this.say({ type: "bye", captured, dropped, sent });
    this.timers.push(window.setTimeout(() => this.abandon(), LAST_RESULTS_MS));
  }

  /** Take the connection for lost, now. */
  abandon(): void {
    this.socket.close();
    this.end(1006, "");
  }

  private waitReady(ms: number): void {
    window.clearTimeout(this.timers.pop()); // there is no other one so far
    this.timers.push(window.setTimeout(() => !this.ready && this.abandon(), ms));
  }

  private async encodeAndSend(one: Outgoing & { frame: ImageBitmap }, keyframe: boolean, began: number): Promise<void> {
    const asked = keyframe || this.needsKeyframe;
    this.needsKeyframe = false;
    let encoded: Awaited<ReturnType<FrameEncoder["encode"]>>;
    try {
      encoded = await this.encoder.encode(one, asked);
    } catch {
      one.frame.close();
      if (!this.over) {
        this.on.encoderBroke();
      }
      return;
    }
    if (!encoded || this.over || this.socket.readyState !== WebSocket.OPEN) {
      this.needsKeyframe = true;
      one.frame.close();
      return;
    }
    const { data, width, height } = encoded;
    const sentAtMs = performance.now();
    const encodeMs = sentAtMs - began;
    const bytes = frameBytes({ ...one, keyframe: encoded.keyframe, encodeMs, data });
    this.credits--;
    this.lastSentMs = sentAtMs;
    this.counts.send();
    this.held.hold(one.id, { ...one, encodeMs, sentAtMs, sentWidth: width, sentHeight: height });
    this.socket.send(bytes);
  }

  private take(data: string | ArrayBuffer, now: number): void {
    if (this.over) {
      return;
    }
    this.heardMs = now;
    if (typeof data !== "string") {
      this.takeResult(readResult(data), now);
      return;
    }
    const told = readText(data);
    switch (told?.type) {
      case "starting":
        this.waitReady(STARTING_MS);
        this.on.starting(told.reason);
        break;
      case "ready":
        this.begin(told);
        break;
      case "refused":
        this.refused = told;
        break;
      case "clock":
        this.clock.add(told.sent_ms, told.received_ms, told.answered_ms, now);
        if (++this.exchanges < FIRST_EXCHANGES) {
          this.askClock();
        }
        break;
      case "keyframe":
        this.needsKeyframe = true;
        break;
      case "not_kept":
        this.on.notKept(told.reason);
        break;
      case "mode":
        this.on.mode(told);
        break;
      case "summary":
        this.summary = told;
        break;
      case "ended":
        this.said = told.reason;
        break;
    }
  }

  private begin(ready: Ready): void {
    this.ready = ready;
    this.credits = ready.credits;
    this.held = new HeldFrames(ready.credits);
    this.askClock();
    this.timers.push(window.setInterval(() => this.watch(), CLOCK_EVERY_MS));
    this.on.ready(ready);
  }

  private takeResult(result: Result, now: number): void {
    const held = this.held.take(result.id);
    if (!held) {
      return; // not of this session, or there twice: nothing that could be shown
    }
    this.credits++;
    this.counts.settle(result.fate);
    this.lastResultMs = now;
    this.learn(result, held);
    this.on.result(result, held, now);
  }

  private learn({ fate, receivedAtMs, decodeMs, processMs }: Result, held: Held): void {
    const received = this.clock.here(receivedAtMs);
    if (fate === "analysed" && received !== undefined) {
      const wayMs = held.encodeMs + Math.max(0, received - held.sentAtMs) + decodeMs;
      this.processMs += NEWEST_SHARE * (processMs - this.processMs);
      this.wayMs += NEWEST_SHARE * (wayMs - this.wayMs);
    }
  }

  /** Whether the frame that is under way still keeps the device busy when this one would be there. */
  private isTooSoon(): boolean {
    const isUnderWay = this.held.size > 0;
    const { lastResultMs, lastSentMs, processMs, wayMs } = this;
    return isUnderWay && performance.now() < nextSendMs(lastResultMs, lastSentMs, processMs, wayMs);
  }

  private watch(): void {
    if (performance.now() - this.heardMs > SILENT_MS) {
      this.abandon();
    } else {
      this.askClock();
    }
  }

  private askClock(): void {
    if (!this.ending) {
      this.say({ type: "clock", sent_ms: performance.now() });
    }
  }

  private say(message: object): void {
    if (this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(message));
    }
  }

  private end(code: number, reason: string): void {
    if (this.over) {
      return;
    }
    this.over = true;
    for (const timer of this.timers) {
      window.clearTimeout(timer);
    }
    this.held.clear();
    this.encoder.close();
    this.on.ended({
      code: this.summary ? CLOSED.done : code,
      reason: this.refused?.reason ?? (reason || this.said),
      wasReady: this.ready !== undefined,
      offer: this.refused?.offer,
    });
  }
}
