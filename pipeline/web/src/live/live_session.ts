/** All that goes on while the live page is open; the page shows its signals. */

import { signal } from "@preact/signals";
import { messageOf } from "../api.ts";
import type { CameraFrame } from "../camera/camera.ts";
import type { ModelState } from "../camera/camera_session.ts";
import { ChosenCamera } from "../camera/chosen_camera.ts";
import { PreviewLoop, WHOLE } from "../camera/preview_loop.ts";
import { loadPreviewModel, type Preview, type PreviewModel } from "../camera/preview_model.ts";
import { StageTimes } from "../camera/stage_times.ts";
import type { Detail } from "../player/overlay.ts";
import { AgreementMeter } from "./agreement.ts";
import type { Held, LiveConnection } from "./connection.ts";
import { clear, drawBoth, drawLayer, drawResult } from "./draw.ts";
import { LiveLink } from "./link.ts";
import { hybridEveryMs } from "./pace.ts";
import type { Mode, Ready, Result } from "./protocol.ts";
import { stageTimes } from "./stages.ts";

/** What stands on the stage: the preview, with or without the server's layer, the server's frames, or the camera's. */
export type Shown = "preview" | "hybrid" | "full" | "camera";

export interface Canvases {
  readonly picture: HTMLCanvasElement;
  readonly layer: HTMLCanvasElement;
  readonly result: HTMLCanvasElement;
}

const TELL_MS = 250;
/** A layer that is older says nothing of the picture under it. */
const LAYER_MS = 6000;
const TRIP_SHARE = 0.3;

export class LiveSession {
  readonly camera: ChosenCamera;
  readonly link: LiveLink;
  readonly chosen = signal<Mode>("full");
  readonly model = signal<ModelState | undefined>(undefined);
  /** What the server said of itself when the session began. */
  readonly ready = signal<Ready | undefined>(undefined);
  readonly detail = signal<Detail>("skeletons");
  readonly showsLayer = signal(true);
  /** Whether the model of the server has keypoints that can be compared with the preview's. */
  readonly canCompare = signal(true);
  /** Counts how often the numbers were gathered, so that what shows them is drawn again. */
  readonly told = signal(0);
  /** Whether the next session is to become a video of the team. */
  readonly keep = signal(false);
  readonly previewTimes = new StageTimes();
  readonly serverTimes = new StageTimes();
  readonly agreement = new AgreementMeter();
  /** When the frame of the server's layer was captured; undefined while there is none. */
  layerAtMs: number | undefined;
  /** From one frame for the server to the next, in hybrid. */
  everyMs = 0;
  /** Canvas for the frame that was compared last. */
  compared: HTMLCanvasElement | null = null;
  hasResult = false;
  private canvases: Canvases | undefined;
  private loop: PreviewLoop | undefined;
  private pose: PreviewModel | undefined;
  private loading = false;
  private starts = false;
  private tripMs: number | undefined;
  private lastSentMs = Number.NEGATIVE_INFINITY;
  private lastDrawn = 0;
  private readonly closed = new AbortController();

  constructor(team: string) {
    this.camera = new ChosenCamera((frame) => this.take(frame));
    this.link = new LiveLink(team, {
      ready: (ready) => this.begun(ready),
      changed: () => this.serverTimes.clear(),
      result: (result, held, arrivedAtMs, connection) => this.answered(result, held, arrivedAtMs, connection),
    });
    const timer = window.setInterval(() => this.tell(), TELL_MS);
    this.closed.signal.addEventListener("abort", () => window.clearInterval(timer));
  }

  attach(canvases: Canvases): void {
    this.canvases = canvases;
    this.loop?.close();
    const loop = new PreviewLoop(canvases.picture, this.previewTimes);
    loop.onDrawn = (frame, found) => this.drawn(frame, found);
    loop.onFailed = (reason) => {
      this.pose?.close();
      this.pose = undefined;
      this.model.value = { kind: "failed", reason: messageOf(reason) };
    };
    this.loop = loop;
  }

  get shown(): Shown {
    const state = this.link.state.value;
    const chosen = this.chosen.value;
    if (chosen !== "full") {
      return chosen;
    }
    if (state.kind === "open") {
      return state.mode;
    }
    return state.kind === "waiting" && state.isOverload ? "preview" : "camera";
  }

  /** Turn the camera on; the server's part begins with its first frame. */
  async start(): Promise<void> {
    this.agreement.clear();
    this.starts = true;
    await this.camera.open();
  }

  /** End the session with the server, and turn the camera off. */
  stop(): void {
    this.camera.off();
    this.link.end();
    this.forgetLayer();
    this.hasResult = false;
  }

  choose(mode: Mode): void {
    const before = this.chosen.value;
    this.chosen.value = mode;
    if (mode === "preview") {
      this.link.end();
      this.forgetLayer();
    } else if (this.camera.state.value.kind === "on" && before !== mode) {
      this.connect();
    }
  }

  /** Ask the server anew, after it refused or ended the session. */
  connect(): void {
    const mode = this.chosen.value;
    const { size, choice, state: camera } = this.camera;
    if (mode !== "preview" && size.value.width > 0 && camera.value.kind === "on") {
      const fps = camera.value.delivered.frameRate ?? choice.value.frameRate;
      this.link.begin(mode, {
        size: size.value,
        fps: Math.min(240, Math.max(1, Math.round(fps))),
        keep: this.keep.value,
      });
    }
  }

  close(): void {
    this.closed.abort();
    this.camera.off();
    this.link.close();
    this.loop?.close();
    this.pose?.close();
  }

  private take(frame: CameraFrame): void {
    const { connection } = this.link;
    if (this.starts) {
      this.starts = false;
      this.connect();
    }
    connection?.captured(frame.id);
    const { shown } = this;
    this.useModel(shown === "preview" || shown === "hybrid");
    if (shown !== "full") {
      this.hasResult = false;
      this.loop?.offer(frame);
    } else {
      if (connection?.takes(frame.id)) {
        connection.send(frame);
      }
      frame.frame.close();
    }
  }

  /** The frame was drawn, with what the preview found in it; in hybrid one of them goes to the server now and then. */
  private drawn(frame: CameraFrame, found: Preview | undefined): void {
    const { connection, state } = this.link;
    const now = performance.now();
    if (this.shown !== "hybrid" || state.value.kind !== "open" || !connection?.takes(frame.id)) {
      return;
    }
    this.everyMs = hybridEveryMs(state.value.everyMs, this.tripMs);
    if (now - this.lastSentMs >= this.everyMs) {
      this.lastSentMs = now;
      connection.send({ ...frame, preview: found?.keypoints, isPreviewed: Boolean(found) }, true);
    }
  }

  private begun(ready: Ready): void {
    this.ready.value = ready;
    this.canCompare.value = this.agreement.begin(ready.keypoints);
    this.serverTimes.clear();
    this.tripMs = undefined;
    this.lastDrawn = 0;
  }

  private answered(result: Result, held: Held, arrivedAtMs: number, connection: LiveConnection): void {
    const skeleton = this.ready.value?.skeleton ?? [];
    if (result.fate === "analysed" && this.canvases && result.id > this.lastDrawn) {
      this.lastDrawn = result.id;
      const began = performance.now();
      if (this.shown === "full") {
        drawResult(this.canvases.result, held, result.people, skeleton, this.detail.value);
        this.reveal();
      } else if (this.shown === "hybrid") {
        this.compare(result, held, skeleton);
      }
      const now = performance.now();
      for (const [stage, ms] of stageTimes(held, result, arrivedAtMs, connection.clock)) {
        this.serverTimes.add(stage, ms);
      }
      this.serverTimes.add("Render", now - began);
      this.serverTimes.add(WHOLE, now - held.capturedAtMs);
    }
    const tripMs = arrivedAtMs - held.sentAtMs + held.encodeMs;
    this.tripMs = this.tripMs === undefined ? tripMs : (1 - TRIP_SHARE) * this.tripMs + TRIP_SHARE * tripMs;
    held.frame.close();
  }

  private compare(result: Result, held: Held, skeleton: Ready["skeleton"]): void {
    if (this.canvases) {
      this.layerAtMs = held.capturedAtMs;
      drawLayer(this.canvases.layer, held, result.people, skeleton);
    }
    if (held.isPreviewed && this.canCompare.value) {
      const scale = held.sentWidth / held.width;
      this.agreement.add(held.capturedAtMs, scaled(held.preview, scale), result.people);
    }
    if (this.compared) {
      drawBoth(this.compared, held, result.people, skeleton);
    }
  }

  private reveal(): void {
    if (!this.hasResult) {
      this.hasResult = true;
      this.told.value++;
    }
  }

  private forgetLayer(): void {
    this.layerAtMs = undefined;
    clear(this.canvases?.layer ?? null);
  }

  /** The preview's model computes only where it is shown, for it takes what the picture's way needs. */
  private useModel(wanted: boolean): void {
    const { loop } = this;
    const model = wanted ? this.pose : undefined;
    if (loop && loop.model !== model) {
      loop.model = model;
    }
    if (wanted && !this.pose && !this.loading && this.model.value?.kind !== "failed") {
      void this.loadModel();
    }
  }

  private async loadModel(): Promise<void> {
    this.loading = true;
    this.model.value = { kind: "loading", loaded: 0, total: 0 };
    try {
      const model = await loadPreviewModel((loaded, total) => {
        this.model.value = { kind: "loading", loaded, total };
      }, this.closed.signal);
      this.pose = model;
      this.model.value = { kind: "ready", inference: model.inference };
    } catch (reason) {
      if (!this.closed.signal.aborted) {
        this.model.value = { kind: "failed", reason: messageOf(reason) };
      }
    }
    this.loading = false;
  }

  private tell(): void {
    if (this.layerAtMs !== undefined && performance.now() - this.layerAtMs > LAYER_MS) {
      this.forgetLayer();
    }
    if (this.camera.state.value.kind === "on") {
      this.told.value++;
    }
  }
}

/** Keypoints in px of the picture that was sent. */
function scaled(keypoints: Float32Array | undefined, scale: number): Float32Array | undefined {
  return keypoints?.map((value, index) => (index % 4 < 3 ? value * scale : value));
}
