/** The frames that are to be a clip. */

import type { FrameTable } from "./frame_table.ts";

export interface Cut {
  readonly first?: number;
  /** It is still in the clip. */
  readonly last?: number;
}

export const LONGEST_S = 30;

/** The cut that begins or ends at another frame; an end before the beginning is forgotten, and the other way round. */
export function marked(cut: Cut, end: keyof Cut, frame: number | undefined): Cut {
  if (frame === undefined) {
    return cut;
  }
  const other = end === "first" ? cut.last : cut.first;
  const fits = other === undefined || (end === "first" ? frame <= other : frame >= other);
  return { ...(fits ? cut : {}), [end]: frame };
}

/** How long a cut's frames are shown, in seconds; undefined while it has no two ends. */
export function lengthOf({ first, last }: Cut, table: FrameTable): number | undefined {
  return first === undefined || last === undefined ? undefined : endOf(last, table) - table.timeOf(first);
}

/** When a frame ends: with the next one; the last of all is as long as the one before. */
export function endOf(frame: number, table: FrameTable): number {
  if (frame + 1 < table.frames) {
    return table.timeOf(frame + 1);
  }
  return frame > 0 ? 2 * table.timeOf(frame) - table.timeOf(frame - 1) : table.timeOf(frame) + 1 / 30;
}
