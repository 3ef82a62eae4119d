/**
 * The newest frame of a camera with the pose that was found in it, drawn at once, onto one canvas. While the model is
 * busy only the newest frame waits, so that the picture is never further behind than one frame.
 */

import type { CameraFrame } from "./camera.ts";
import type { Preview, PreviewModel } from "./preview_model.ts";
import { drawSkeleton } from "./skeleton.ts";
import type { StageTimes } from "./stage_times.ts";

/** Larger pictures than a screen shows only take longer to draw. */
const LONGEST_SIDE = 1280;

/** The name of the whole way in `StageTimes`: from the capture until the frame is drawn. */
export const WHOLE = "Capture to picture";

export class PreviewLoop {
  /** Called with each frame that was drawn, before it is closed, and with what was found where a model looked. */
  onDrawn: (frame: CameraFrame, found: Preview | undefined) => void = () => undefined;
  /** Called when the model gives up; frames go on without it. */
  onFailed: (reason: unknown) => void = () => undefined;

  private finds: PreviewModel | undefined;
  private waiting: CameraFrame | undefined;
  private busy = false;
  private closed = false;
  private readonly canvas: HTMLCanvasElement;
  private readonly times: StageTimes;

  constructor(canvas: HTMLCanvasElement, times: StageTimes) {
    this.canvas = canvas;
    this.times = times;
  }

  /** Finds the person; without one frames are drawn as they come. */
  get model(): PreviewModel | undefined {
    return this.finds;
  }

  set model(model: PreviewModel | undefined) {
    this.finds = model;
    // Frames with a model and frames without say nothing of each other.
    this.times.clear();
  }

  /** Take a frame, instead of one that waits. */
  offer(frame: CameraFrame): void {
    this.waiting?.frame.close();
    this.waiting = undefined;
    if (this.closed) {
      frame.frame.close();
      return;
    }
    this.waiting = frame;
    if (!this.busy) {
      this.busy = true;
      void this.work();
    }
  }

  close(): void {
    this.closed = true;
    this.waiting?.frame.close();
    this.waiting = undefined;
  }

  private async work(): Promise<void> {
    try {
      for (let frame = this.take(); frame; frame = this.take()) {
        await this.show(frame);
      }
    } finally {
      this.busy = false;
    }
  }

  private async show(frame: CameraFrame): Promise<void> {
    try {
      const found = await this.look(frame);
      if (!this.closed) {
        const began = performance.now();
        this.draw(frame, found);
        const now = performance.now();
        this.times.add("Capture", frame.captureMs);
        this.times.add("Render", now - began);
        this.times.add(WHOLE, now - frame.capturedAtMs);
        this.onDrawn(frame, found);
      }
    } finally {
      frame.frame.close();
    }
  }

  private take(): CameraFrame | undefined {
    const frame = this.waiting;
    this.waiting = undefined;
    return frame;
  }

  private async look(frame: CameraFrame): Promise<Preview | undefined> {
    const { model } = this;
    if (!model) {
      return undefined;
    }
    try {
      const found = await model.find(frame);
      this.times.add("Process", found.processMs);
      return found;
    } catch (reason) {
      // Also when it was closed; then there may be another already.
      if (this.model === model && !this.closed) {
        this.model = undefined;
        this.onFailed(reason);
      }
      return undefined;
    }
  }

  private draw({ frame, width, height }: CameraFrame, found: Preview | undefined): void {
    const { canvas } = this;
    const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== wide || canvas.height !== high) {
      [canvas.width, canvas.height] = [wide, high];
    }
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) {
      return;
    }
    context.drawImage(frame, 0, 0, wide, high);
    if (found?.keypoints) {
      drawSkeleton(context, found.keypoints, scale, Math.max(wide, high) / 360);
    }
  }
}
