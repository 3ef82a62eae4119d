/** All that goes on while the page of the camera is open; the page shows its signals. */

import { batch, computed, signal } from "@preact/signals";
import { messageOf } from "../api.ts";
import type { CameraChoice, CameraFrame } from "./camera.ts";
import { ChosenCamera } from "./chosen_camera.ts";
import { type Battery, followBattery, freeBytes } from "./device_state.ts";
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
const USUAL_SHAPE = { width: 16, height: 9 };

export type ModelState =
  | { readonly kind: "loading"; readonly loaded: number; readonly total: number }
  | { readonly kind: "ready"; readonly inference: Inference }
  | { readonly kind: "failed"; readonly reason: string };

export class CameraSession {
  readonly model = signal<ModelState>({ kind: "loading", loaded: 0, total: 0 });
  readonly hints = signal<readonly Told[]>([]);
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
  private readonly source = new ChosenCamera(
    (frame) => this.came(frame),
    () => this.forget(),
  );
  readonly camera = this.source.state;
  readonly cameras = this.source.cameras;
  readonly choice = this.source.choice;
  /** Of the frames that came: width and height in px; a usual shape before the first. */
  readonly size = computed(() => (this.source.size.value.width ? this.source.size.value : USUAL_SHAPE));
  private readonly judge = new Hints();
  private readonly closed = new AbortController();
  private loop: PreviewLoop | undefined;
  private pose: PreviewModel | undefined;
  private battery: Battery | undefined;
  private free: number | undefined;

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

  open(): Promise<void> {
    return this.source.open();
  }

  choose(change: Partial<CameraChoice>): void {
    this.source.choose(change);
  }

  off(): void {
    this.source.off();
  }

  close(): void {
    this.off();
    this.closed.abort();
    this.recorder.close();
    this.loop?.close();
    this.watch.close();
    this.pose?.close();
  }

  private came(frame: CameraFrame): void {
    this.watch.came(frame);
    if (this.loop) {
      this.loop.offer(frame);
    } else {
      frame.frame.close();
    }
  }

  private forget(): void {
    this.watch.forget();
    this.times.clear();
    this.hints.value = [];
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
