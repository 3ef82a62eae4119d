/** All that goes on while the page of the camera is open; the page shows its signals. */

import { batch, signal } from "@preact/signals";
import { messageOf } from "../api.ts";
import {
  type CameraChoice,
  capabilitiesOf,
  type Delivered,
  deliveredBy,
  frames,
  listCameras,
  openCamera,
  trackOf,
} from "./camera.ts";
import { CAMERA_ENDED, cameraTrouble } from "./camera_trouble.ts";
import { readChoice, rememberChoice } from "./choice.ts";
import { type Battery, followBattery, freeBytes, keepScreenOn } from "./device_state.ts";
import { bitRateFor, minutesFor } from "./figures/room.ts";
import type { Told } from "./hints/hint.ts";
import { Hints } from "./hints/hints.ts";
import { PreviewLoop } from "./preview_loop.ts";
import type { Inference } from "./preview_messages.ts";
import { loadPreviewModel, type PreviewModel } from "./preview_model.ts";
import { Recorder } from "./recording/recorder.ts";
import { StageTimes } from "./stage_times.ts";
import { Watch } from "./watch.ts";

/** What is shown anew, and how often: calm enough to read. */
const TELL_MS = 500;
/** Asking how much room there is takes the browser some time. */
const ROOM_MS = 10_000;

export type CameraState =
  | { readonly kind: "off" | "opening" }
  | { readonly kind: "trouble"; readonly text: string }
  | {
      readonly kind: "on";
      readonly stream: MediaStream;
      readonly delivered: Delivered;
      readonly can: MediaTrackCapabilities;
    };

export type ModelState =
  | { readonly kind: "loading"; readonly loaded: number; readonly total: number }
  | { readonly kind: "ready"; readonly inference: Inference }
  | { readonly kind: "failed"; readonly reason: string };

export class CameraSession {
  readonly camera = signal<CameraState>({ kind: "off" });
  readonly model = signal<ModelState>({ kind: "loading", loaded: 0, total: 0 });
  readonly cameras = signal<readonly MediaDeviceInfo[]>([]);
  readonly choice = signal<CameraChoice>(readChoice());
  readonly hints = signal<readonly Told[]>([]);
  /** Of the frames that came: width and height in px. */
  readonly size = signal({ width: 16, height: 9 });
  /** Counts how often the numbers were gathered, so that what shows them is drawn again. */
  readonly told = signal(0);
  /** The camera's roll, as the level says it. */
  readonly roll = signal<number | undefined>(undefined);
  readonly times = new StageTimes();
  readonly recorder = new Recorder();
  /** Frames in which the preview looked for somebody, and in which it found them. */
  looked = 0;
  found = 0;

  private readonly watch = new Watch();
  private readonly judge = new Hints();
  private readonly closed = new AbortController();
  private loop: PreviewLoop | undefined;
  private pose: PreviewModel | undefined;
  private battery: Battery | undefined;
  private free: number | undefined;
  private turnOff: () => void = () => undefined;
  private opened = 0;

  constructor() {
    const ends = [followBattery((battery) => (this.battery = battery))];
    const timers = [setInterval(() => this.tell(), TELL_MS), setInterval(() => this.askRoom(), ROOM_MS)];
    this.closed.signal.addEventListener("abort", () => {
      for (const end of ends) {
        end();
      }
      timers.map(clearInterval);
    });
    this.askRoom();
    void this.loadModel();
  }

  /** Draw onto this canvas from now on. */
  attach(canvas: HTMLCanvasElement): void {
    const loop = new PreviewLoop(canvas, this.times);
    this.loop?.close();
    this.loop = loop;
    loop.model = this.pose;
    loop.onDrawn = (frame, found) => {
      this.watch.drawn(frame, found);
      this.looked += found ? 1 : 0;
      this.found += found?.keypoints ? 1 : 0;
    };
    loop.onFailed = (reason) => this.failed(reason);
  }

  /** Open the camera that is chosen, instead of one that is open. */
  async open(): Promise<void> {
    const opening = ++this.opened;
    this.turnOff();
    this.camera.value = { kind: "opening" };
    try {
      const stream = await openCamera(this.choice.value);
      if (opening !== this.opened || this.closed.signal.aborted) {
        stop(stream);
        return;
      }
      this.begin(stream);
      this.cameras.value = await listCameras();
    } catch (error) {
      if (opening === this.opened) {
        this.hints.value = [];
        this.camera.value = { kind: "trouble", text: cameraTrouble(error, window.isSecureContext) };
      }
    }
  }

  /** Choose something else of the camera; an open one is opened anew. */
  choose(change: Partial<CameraChoice>): void {
    this.choice.value = { ...this.choice.value, ...change };
    rememberChoice(this.choice.value);
    if (this.camera.value.kind !== "off") {
      void this.open();
    }
  }

  off(): void {
    this.opened++;
    this.turnOff();
    this.hints.value = [];
    this.camera.value = { kind: "off" };
  }

  close(): void {
    this.off();
    this.closed.abort();
    this.recorder.close();
    this.loop?.close();
    this.watch.close();
    this.pose?.close();
  }

  private begin(stream: MediaStream): void {
    const track = trackOf(stream);
    this.watch.forget();
    this.times.clear();
    const ends = [
      frames(stream, (frame) => {
        this.watch.came(frame);
        if (frame.width !== this.size.value.width || frame.height !== this.size.value.height) {
          batch(() => {
            this.size.value = { width: frame.width, height: frame.height };
            this.camera.value = { kind: "on", stream, delivered: deliveredBy(track), can: capabilitiesOf(track) };
          });
        }
        this.loop?.offer(frame);
      }),
      keepScreenOn(),
      () => stop(stream),
    ];
    this.turnOff = () => {
      this.turnOff = () => undefined;
      for (const end of ends) {
        end();
      }
    };
    track.addEventListener("ended", () => {
      this.turnOff();
      this.hints.value = [];
      this.camera.value = { kind: "trouble", text: CAMERA_ENDED };
    });
    this.camera.value = { kind: "on", stream, delivered: deliveredBy(track), can: capabilitiesOf(track) };
  }

  private async loadModel(): Promise<void> {
    try {
      const model = await loadPreviewModel((loaded, total) => {
        this.model.value = { kind: "loading", loaded, total };
      }, this.closed.signal);
      this.pose = model;
      if (this.loop) {
        this.loop.model = model;
      }
      this.model.value = { kind: "ready", inference: model.inference };
    } catch (reason) {
      if (!this.closed.signal.aborted) {
        this.failed(reason);
      }
    }
  }

  private failed(reason: unknown): void {
    this.model.value = { kind: "failed", reason: messageOf(reason) };
  }

  private askRoom(): void {
    void freeBytes().then((free) => {
      this.free = free;
    });
  }

  /** Gather what is known, and judge it. */
  private tell(): void {
    const { camera, choice, model } = this;
    if (camera.value.kind !== "on") {
      return;
    }
    const now = performance.now();
    const seen = this.watch.figures(now);
    const bits = bitRateFor(
      seen.width || choice.value.width,
      seen.height || choice.value.height,
      choice.value.frameRate,
    );
    batch(() => {
      this.hints.value = this.judge.see(
        {
          ...seen,
          preview: model.value.kind,
          roll: this.roll.value,
          chosenRate: choice.value.frameRate,
          battery: this.battery,
          minutes: this.free === undefined ? undefined : minutesFor(this.free, bits),
        },
        now,
      );
      this.told.value++;
    });
  }
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}
