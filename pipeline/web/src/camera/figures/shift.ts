/** How far the whole picture moved from one frame to the next: a camera that shakes. */

import type { Grey } from "./grey.ts";

export interface Shift {
  /** To the right and down, as shares of the picture's width. */
  readonly x: number;
  readonly y: number;
}

const COLUMNS = 4;
const ROWS = 3;
/** How far a block may move, in px of the small picture. */
const FARTHEST = 6;
/** Below it a block is too smooth to tell whether it moved: the mean step from pixel to pixel of its profile. */
const LEAST_TEXTURE = 0.6;

/**
 * The median of the shifts of 12 blocks, so that people who move in some of them do not count. Each block is compared by
 * its projections onto x and y. Undefined where too few blocks have anything in them.
 */
export function shiftBetween(before: Grey, after: Grey): Shift | undefined {
  const wide = Math.floor(before.width / COLUMNS);
  const high = Math.floor(before.height / ROWS);
  const [xs, ys]: [number[], number[]] = [[], []];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const block = { left: column * wide, top: row * high, wide, high };
      for (const [found, across] of [
        [xs, true],
        [ys, false],
      ] as const) {
        const moved = movedBy(profileOf(before, block, across), profileOf(after, block, across));
        if (moved !== undefined) {
          found.push(moved);
        }
      }
    }
  }
  // Half of the blocks, or a person in front of a wall would be taken for the world.
  const enough = (COLUMNS * ROWS) / 2;
  return xs.length < enough || ys.length < enough
    ? undefined
    : { x: median(xs) / before.width, y: median(ys) / before.width };
}

interface Block {
  readonly left: number;
  readonly top: number;
  readonly wide: number;
  readonly high: number;
}

/** Mean greys of the columns of a block, or of its rows. */
function profileOf({ data, width }: Grey, { left, top, wide, high }: Block, across: boolean): Float32Array {
  const profile = new Float32Array(across ? wide : high);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const to = across ? x : y;
      profile[to] = (profile[to] ?? 0) + (data[(top + y) * width + left + x] ?? 0) / (across ? high : wide);
    }
  }
  return profile;
}

/** How far one profile is shifted against another, to parts of a pixel. */
function movedBy(before: Float32Array, after: Float32Array): number | undefined {
  let steps = 0;
  for (let at = 1; at < before.length; at++) {
    steps += Math.abs((before[at] ?? 0) - (before[at - 1] ?? 0));
  }
  if (steps / before.length < LEAST_TEXTURE) {
    return undefined;
  }
  const costs = Array.from({ length: 2 * FARTHEST + 1 }, (_, index) => costOf(before, after, index - FARTHEST));
  const best = costs.indexOf(Math.min(...costs));
  const [left, here, right] = [costs[best - 1], costs[best], costs[best + 1]];
  if (left === undefined || here === undefined || right === undefined) {
    return best - FARTHEST;
  }
  // The lowest point of the parabola through the three.
  const bend = left - 2 * here + right;
  return best - FARTHEST + (bend > 0 ? (left - right) / (2 * bend) : 0);
}

/** The mean squared difference where both profiles are, with the brightness of both taken off. */
function costOf(before: Float32Array, after: Float32Array, shift: number): number {
  const from = Math.max(0, -shift);
  const to = Math.min(before.length, before.length - shift);
  let [sum, squares] = [0, 0];
  for (let at = from; at < to; at++) {
    const apart = (after[at + shift] ?? 0) - (before[at] ?? 0);
    sum += apart;
    squares += apart * apart;
  }
  const count = to - from;
  return squares / count - (sum / count) ** 2;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
