/** When a frame was captured, in the page's own clock. */

/**
 * How long ago the camera captured a frame, in ms, where the browser tells it.
 *
 * @param now of `performance.now()`.
 */
export function deviceCaptureMs(frame: VideoFrame, now: number): number | undefined {
  const told: { captureTime?: number } | undefined = frame.metadata?.();
  const captured = told?.captureTime;
  return captured !== undefined && captured > 0 && captured <= now ? now - captured : undefined;
}

/** Frames over which the fastest is looked for: clocks drift, and a minute of 30 frames a second is 1800. */
const WINDOW = 1800;

/**
 * For clocks that share no zero: how much later than the fastest of the last frames one has come. What even the fastest
 * needed is not in it.
 */
export class FastestDelay {
  private readonly last: number[] = [];

  /** @param timestampMs of the frame, in a clock of its own. */
  delayMs(now: number, timestampMs: number): number {
    const apart = now - timestampMs;
    this.last.push(apart);
    if (this.last.length > WINDOW) {
      this.last.shift();
    }
    return apart - Math.min(...this.last);
  }
}
