/** How sharp a picture is. */

import { type Grey, spreadOf } from "./grey.ts";

/** Below that spread of greys (a wall, fog) there is nothing of which sharpness could be told. */
const LEAST_VARIANCE = 60;

/**
 * The variance of the Laplacian as a share of the picture's own variance, so that a picture with strong contrasts is not
 * taken for a sharp one. Undefined where there is nothing to be sharp.
 *
 * Source of the measure: Pech-Pacheco and others, Diatom autofocusing in brightfield microscopy, ICPR 2000.
 */
export function sharpnessOf({ data, width, height }: Grey): number | undefined {
  const inner = new Float32Array((width - 2) * (height - 2));
  let to = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const around = (data[at - 1] ?? 0) + (data[at + 1] ?? 0) + (data[at - width] ?? 0) + (data[at + width] ?? 0);
      inner[to++] = around - 4 * (data[at] ?? 0);
    }
  }
  const { variance } = spreadOf(data);
  return variance < LEAST_VARIANCE ? undefined : spreadOf(inner).variance / variance;
}
