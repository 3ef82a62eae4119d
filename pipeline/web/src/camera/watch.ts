/** Gathers what is seen of a camera's frames into figures that settle. */

import type { CameraFrame } from "./camera.ts";
import { Lately } from "./figures/calm.ts";
import { type Edge, type Framing, framingOf } from "./figures/framing.ts";
import type { Light } from "./figures/light.ts";
import { RATE_WINDOW_MS, rateOf } from "./figures/rate.ts";
import type { Figures } from "./hints/hint.ts";
import type { Look, Looked } from "./picture_messages.ts";
import type { Preview } from "./preview_model.ts";

/** Over so long numbers settle. */
const WINDOW_MS = 1500;
/** From one look at the pixels to the next. */
const LOOK_EVERY_MS = 125;

export class Watch {
  private readonly worker: Worker;
  private looking = false;
  private lastLookMs = Number.NEGATIVE_INFINITY;
  private readonly captured: number[] = [];
  private framings: { readonly at: number; readonly framing: Framing | undefined }[] = [];
  private size = { width: 0, height: 0 };
  private light: Light | undefined;
  private readonly numbers = {
    tallPx: new Lately(WINDOW_MS),
    mean: new Lately(WINDOW_MS),
    middle: new Lately(WINDOW_MS),
    sharpness: new Lately(WINDOW_MS),
    moved: new Lately(WINDOW_MS),
  };

  constructor() {
    this.worker = new Worker(new URL("./picture_worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Looked>) => this.looked(data, performance.now());
  }

  /** A frame came from the camera. */
  came(frame: CameraFrame): void {
    if (frame.width !== this.size.width || frame.height !== this.size.height) {
      this.forget();
      this.size = { width: frame.width, height: frame.height };
    }
    this.captured.push(frame.capturedAtMs);
    while ((this.captured[0] ?? 0) < frame.capturedAtMs - RATE_WINDOW_MS) {
      this.captured.shift();
    }
  }

  /** A frame was drawn, with what was found in it. The frame stays its owner's. */
  drawn(frame: CameraFrame, found: Preview | undefined): void {
    const now = performance.now();
    const framing = framingOf(found?.keypoints, frame.width, frame.height);
    if (found) {
      this.framings.push({ at: now, framing });
      this.framings = this.framings.filter(({ at }) => at > now - WINDOW_MS);
    }
    if (framing) {
      this.numbers.tallPx.add(framing.tallPx, now);
    }
    if (!this.looking && now - this.lastLookMs >= LOOK_EVERY_MS) {
      this.looking = true;
      this.lastLookMs = now;
      this.look(frame, framing).catch(() => {
        this.looking = false; // the next frame may do
      });
    }
  }

  private async look(frame: CameraFrame, framing: Framing | undefined): Promise<void> {
    const { width, height } = frame;
    const picture = frame.frame instanceof ImageBitmap ? await createImageBitmap(frame.frame) : frame.frame.clone();
    const look: Look = { picture, width, height, x: framing?.x ?? width / 2, y: framing?.y ?? height / 2 };
    this.worker.postMessage(look, [picture]);
  }

  private looked(told: Looked, now: number): void {
    this.looking = false;
    this.light = told.light;
    this.numbers.mean.add(told.light.mean, now);
    this.numbers.middle.add(told.middleMean, now);
    if (told.sharpness !== undefined) {
      this.numbers.sharpness.add(told.sharpness, now);
    }
    if (told.moved !== undefined) {
      this.numbers.moved.add(told.moved, now);
    }
  }

  /** What is known now of the camera's picture. */
  figures(now: number): Pick<Figures, "person" | "light" | "sharpness" | "shake" | "rate" | "width" | "height"> {
    const lately = this.framings.filter(({ at }) => at > now - WINDOW_MS);
    const seen = lately.flatMap(({ framing }) => (framing ? [framing] : []));
    const tallPx = this.numbers.tallPx.median(now);
    const mean = this.numbers.mean.median(now);
    const middle = this.numbers.middle.median(now);
    const often = (edge: Edge) => seen.filter(({ edges }) => edges.includes(edge)).length > seen.length / 2;
    const edges = (["left", "right", "top", "bottom"] as const).filter(often);
    return {
      ...this.size,
      person:
        seen.length > lately.length / 2 && tallPx !== undefined
          ? { tallPx, edges, meanLuma: middle }
          : lately.length
            ? "nobody"
            : undefined,
      light: this.light && mean !== undefined ? { ...this.light, mean } : undefined,
      sharpness: this.numbers.sharpness.median(now),
      shake: this.numbers.moved.median(now),
      rate: rateOf(this.captured),
    };
  }

  forget(): void {
    this.captured.length = 0;
    this.framings = [];
    this.light = undefined;
    for (const each of Object.values(this.numbers)) {
      each.clear();
    }
  }

  close(): void {
    this.worker.terminate();
  }
}
