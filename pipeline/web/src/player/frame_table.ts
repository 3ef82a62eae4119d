/** The times of a video's frames, as its container has them. A frame is found by its time; there is no frame rate. */

import { at, Columns } from "./packed.ts";

export interface FrameTableHeader {
  readonly run_id: string;
  readonly video_id: string;
  readonly model: string;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  readonly time_base: readonly [number, number];
  readonly first_pts: string;
  readonly wide: boolean;
  /** The first frame of each segment of poses. */
  readonly segments: readonly number[];
  /** Times do not tell this video's frames apart. */
  readonly indexed_by_position: boolean;
  readonly keypoints: readonly string[];
  readonly skeleton: readonly (readonly [number, number])[];
  readonly notes: readonly string[];
}

/** Browsers round a frame's time to microseconds. */
const ROUNDING_S = 1.5e-6;
/** An MP4 says in whole milliseconds when its first frame comes. */
const LATE_S = 1.1e-3;

export class FrameTable {
  readonly header: FrameTableHeader;
  /** Of each frame in the file that is played, in seconds. */
  readonly times: Float64Array;
  /** Of each frame in the video that was analysed. */
  private readonly own: Float64Array;
  private readonly ofCopy: boolean;

  /**
   * `ofCopy`: the times of the copy for browsers, which are the video's own, but that frames that share one follow each
   * other in it.
   */
  constructor(data: ArrayBuffer, ofCopy = false) {
    const columns = new Columns<FrameTableHeader>("PLFT", data);
    this.ofCopy = ofCopy;
    this.header = columns.header;
    const { frames, wide, time_base, first_pts } = columns.header;
    const steps = Math.max(0, frames - 1);
    const low = columns.uint32(steps);
    const high = wide ? columns.uint32(steps) : undefined;
    const [numerator, denominator] = time_base;
    this.times = new Float64Array(frames);
    this.own = new Float64Array(frames);
    let ticks = Number(first_pts);
    let shown = ticks;
    for (let frame = 0; frame < frames; frame++) {
      if (frame > 0) {
        ticks += at(low, frame - 1) + (high ? at(high, frame - 1) * 2 ** 32 : 0);
        shown = ofCopy ? Math.max(shown + 1, ticks) : ticks;
      }
      this.times[frame] = (shown * numerator) / denominator;
      this.own[frame] = (ticks * numerator) / denominator;
    }
  }

  get frames(): number {
    return this.times.length;
  }

  timeOf(frame: number): number {
    return at(this.times, frame);
  }

  /** A frame's time in the video that was analysed, for people. */
  ownTimeOf(frame: number): number {
    return at(this.own, frame);
  }

  /** Take up how a copy rounded the time of its first frame, which all others follow. */
  beginAt(seconds: number): void {
    const late = seconds - this.timeOf(0);
    if (this.ofCopy && Math.abs(late) <= LATE_S) {
      for (let frame = 0; frame < this.frames; frame++) {
        this.times[frame] = this.timeOf(frame) + late;
      }
    }
  }

  /** The frame that is shown at this time: the last one that has begun, or the first of all. */
  shownAt(seconds: number): number {
    let low = 0;
    let high = this.frames - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.timeOf(middle) <= seconds + ROUNDING_S) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  /** The frame of exactly this time, up to the browser's rounding; undefined where there is none, or more than one. */
  find(seconds: number): number | undefined {
    const frame = this.shownAt(seconds);
    const fits = (candidate: number) =>
      candidate >= 0 && candidate < this.frames && Math.abs(this.timeOf(candidate) - seconds) <= ROUNDING_S;
    return fits(frame) && !fits(frame - 1) && !fits(frame + 1) ? frame : undefined;
  }

  /** Where a player has to ask so that no rounding gives it a neighbour: between this frame and the next. */
  middleOf(frame: number): number {
    const start = this.timeOf(frame);
    return frame + 1 < this.frames ? (start + this.timeOf(frame + 1)) / 2 : start + 0.001;
  }

  /** The segment that holds a frame's poses. */
  segmentOf(frame: number): number {
    const { segments } = this.header;
    let low = 0;
    let high = segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (at(segments, middle) <= frame) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
}
