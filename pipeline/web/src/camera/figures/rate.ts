/** How many frames a second a camera gives, told by the times at which they were captured. */

export interface Rate {
  /** Frames a second. */
  readonly fps: number;
  /** The share of the gaps between frames that are more than half longer than the usual one. */
  readonly uneven: number;
}

/** Of what lies further back nothing is said. */
export const RATE_WINDOW_MS = 3000;
/** Before, a number would only be noise. */
const LEAST_FRAMES = 3;
const LEAST_MS = 600;

/** @param timesMs of the frames, oldest first. */
export function rateOf(timesMs: readonly number[]): Rate | undefined {
  const last = timesMs.at(-1);
  const recent = timesMs.filter((each) => last !== undefined && each > last - RATE_WINDOW_MS);
  const first = recent[0];
  if (last === undefined || first === undefined || recent.length < LEAST_FRAMES || last - first < LEAST_MS) {
    return undefined;
  }
  const gaps = recent.slice(1).map((each, index) => each - (recent[index] ?? 0));
  const usual = [...gaps].sort((one, other) => one - other)[gaps.length >> 1] ?? 0;
  return {
    fps: (1000 * gaps.length) / (last - first),
    uneven: gaps.filter((gap) => gap > 1.5 * usual).length / gaps.length,
  };
}
