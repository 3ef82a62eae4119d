/** A video's state in words. */

import type { VideoOut } from "./schema.ts";

export interface Told {
  /** A few words. */
  readonly words: string;
  readonly kind: "good" | "bad" | "busy" | "quiet";
  /** How much of it is analysed, 0 to 1, while that goes on. */
  readonly done?: number;
}

export function tell({ state, run, current_run_id }: VideoOut): Told {
  const again = run !== null && current_run_id !== null && current_run_id !== run.run_id;
  if (run?.paused) {
    return { words: "Paused", kind: "quiet" };
  }
  switch (state) {
    case "uploading":
      return { words: "Being uploaded", kind: "busy" };
    case "stored":
      return { words: "Being read", kind: "busy" };
    case "ready":
      return { words: "Not analysed", kind: "quiet" };
    case "rejected":
      return { words: "Cannot be analysed", kind: "bad" };
    case "waiting":
    case "queued":
      return { words: again ? "Waits to be analysed again" : "Waits", kind: "quiet" };
    case "running": {
      const done = run?.frames ? run.frames_done / run.frames : 0;
      return { words: `Being analysed${again ? " again" : ""}, ${Math.floor(done * 100)} %`, kind: "busy", done };
    }
    case "finishing":
      return { words: "Nearly done", kind: "busy", done: 1 };
    case "done":
      return run?.frames_missing
        ? {
            words: `Analysed, ${run.frames_missing} ${run.frames_missing === 1 ? "frame" : "frames"} missing`,
            kind: "good",
          }
        : { words: "Analysed", kind: "good" };
    case "cancelled":
      return { words: again ? "Cancelled, earlier poses stay" : "Cancelled", kind: "quiet" };
    case "failed":
      return { words: again ? "Failed, earlier poses stay" : "Failed", kind: "bad" };
    default:
      return { words: state, kind: "quiet" };
  }
}

/** How many people are in view at once; undefined where that is not known yet. */
export function tellPeople(most: number | null | undefined): string | undefined {
  if (most === null || most === undefined) {
    return undefined;
  }
  return most === 0 ? "nobody found" : most === 1 ? "1 person" : `up to ${most} people`;
}

/** A length: `0.30 s`, `0:08`, `45:10`, `1:30:00`. */
export function inTime(seconds: number): string {
  if (seconds < 1) {
    return `${seconds.toFixed(2)} s`;
  }
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
