/** How long each stage of a frame's way took, over the last frames. */

/** One stage, and the time that it should need. */
export interface Stage {
  readonly name: string;
  readonly budgetMs: number;
}

/** What the preview in the browser should need: 35 ms from the capture to the picture. */
export const PREVIEW_STAGES: readonly Stage[] = [
  { name: "Capture", budgetMs: 3 },
  { name: "Process", budgetMs: 30 },
  { name: "Render", budgetMs: 2 },
];

/** The last frames that count: some seconds, so that a number follows what is done about it. */
export const KEPT = 100;

export interface Measured {
  readonly medianMs: number;
  readonly p95Ms: number;
  readonly count: number;
}

export class StageTimes {
  private readonly kept = new Map<string, number[]>();

  /** A stage of one frame took so long. */
  add(stage: string, ms: number): void {
    const times = this.kept.get(stage) ?? [];
    times.push(ms);
    if (times.length > KEPT) {
      times.shift();
    }
    this.kept.set(stage, times);
  }

  /** Median and 95th percentile; undefined before the first frame. */
  of(stage: string): Measured | undefined {
    const times = this.kept.get(stage);
    return times?.length
      ? { medianMs: quantile(times, 0.5), p95Ms: quantile(times, 0.95), count: times.length }
      : undefined;
  }

  clear(): void {
    this.kept.clear();
  }
}

/** The smallest value that at least this share of all are not above (the nearest rank). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}
