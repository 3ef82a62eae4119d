/** What is shown must not flicker: numbers settle, and a judgement changes only when it has lasted. */

/** A value that changes once another one has lasted for a while. */
export class Settled<T> {
  private shown: T | undefined;
  private next: { readonly value: T; readonly since: number } | undefined;
  private readonly patienceMs: number;

  constructor(patienceMs: number) {
    this.patienceMs = patienceMs;
  }

  see(value: T, now: number): T {
    if (this.shown === undefined || value === this.shown) {
      this.shown = value;
      this.next = undefined;
    } else if (this.next?.value !== value) {
      this.next = { value, since: now };
    } else if (now - this.next.since >= this.patienceMs) {
      this.shown = value;
      this.next = undefined;
    }
    return this.shown;
  }
}

/** The median of what was seen lately. */
export class Lately {
  private seen: { readonly at: number; readonly value: number }[] = [];
  private readonly windowMs: number;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  add(value: number, now: number): void {
    this.seen.push({ at: now, value });
  }

  /** Undefined where nothing was seen within the window. */
  median(now: number): number | undefined {
    this.seen = this.seen.filter(({ at }) => at > now - this.windowMs);
    const sorted = this.seen.map(({ value }) => value).sort((one, other) => one - other);
    return sorted[sorted.length >> 1];
  }

  clear(): void {
    this.seen = [];
  }
}

/** How something is judged: 0 is good, each next is worse. */
export type Grade = 0 | 1 | 2;

/**
 * Judge a value by two bounds; to become better than it was, it must pass the bound by a tenth.
 *
 * @param bounds from good to fair, and from fair to bad. Where the first is larger, larger values are better.
 */
export function graded(value: number, bounds: readonly [number, number], before: Grade | undefined): Grade {
  const sign = bounds[0] > bounds[1] ? -1 : 1;
  const worseThan = (bound: number, needed: Grade) => {
    const strict = before !== undefined && before >= needed ? bound - sign * Math.abs(bound) * 0.1 : bound;
    return sign * value > sign * strict;
  };
  return worseThan(bounds[1], 2) ? 2 : worseThan(bounds[0], 1) ? 1 : 0;
}
