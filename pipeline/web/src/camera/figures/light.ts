/** How much light a picture has. */

import type { Grey } from "./grey.ts";

export interface Light {
  /** 0 to 255. */
  readonly mean: number;
  /** From the darkest twentieth to the brightest, 0 to 255. */
  readonly contrast: number;
  /** Shares of pixels that are so dark, or so bright, that nothing is to be told apart in them; 0 to 1. */
  readonly black: number;
  readonly white: number;
}

/** Video has its ends a little inside 0 and 255, and compression blurs them. */
const BLACK = 6;
const WHITE = 250;

export function lightOf({ data }: Grey): Light {
  const counts = new Uint32Array(256);
  let sum = 0;
  for (const value of data) {
    counts[value] = (counts[value] ?? 0) + 1;
    sum += value;
  }
  const share = (from: number, to: number) => counts.slice(from, to).reduce((all, each) => all + each, 0) / data.length;
  return {
    mean: sum / data.length,
    contrast: levelAt(counts, 0.95 * data.length) - levelAt(counts, 0.05 * data.length),
    black: share(0, BLACK + 1),
    white: share(WHITE, 256),
  };
}

/** The grey that so many pixels are not above. */
function levelAt(counts: Uint32Array, pixels: number): number {
  let passed = 0;
  for (const [level, count] of counts.entries()) {
    passed += count;
    if (passed >= pixels) {
      return level;
    }
  }
  return 255;
}
