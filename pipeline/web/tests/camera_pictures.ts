/** Synthetic pictures, whose figures are known. */

import type { Grey } from "../src/camera/figures/grey.ts";

/** A picture whose grey is a function of the place. */
export function paint(width: number, height: number, grey: (x: number, y: number) => number): Grey {
  const data = Uint8Array.from({ length: width * height }, (_, at) =>
    Math.max(0, Math.min(255, Math.round(grey(at % width, Math.floor(at / width))))),
  );
  return { data, width, height };
}

/** Something to see everywhere, the same at every call: soft hills of several widths. */
export function scenery(x: number, y: number): number {
  return (
    128 +
    38 * Math.sin(x / 5.3 + 0.4) +
    30 * Math.cos(y / 4.1) +
    22 * Math.sin((x + 2 * y) / 11) +
    18 * Math.cos((3 * x - y) / 17)
  );
}

/** The mean of each pixel's neighbours, as a lens out of focus does. */
export function blurred(picture: Grey, radius: number): Grey {
  const at = (x: number, y: number) =>
    picture.data[
      Math.max(0, Math.min(picture.height - 1, y)) * picture.width + Math.max(0, Math.min(picture.width - 1, x))
    ] ?? 0;
  return paint(picture.width, picture.height, (x, y) => {
    let sum = 0;
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        sum += at(x + dx, y + dy);
      }
    }
    return sum / (2 * radius + 1) ** 2;
  });
}

/** 33 keypoints of a person who stands upright, `tall` px from eyes to feet, with the middle at `x` and eyes at `top`. */
export function standing(x: number, top: number, tall: number): Float32Array {
  const keypoints = new Float32Array(33 * 4);
  const put = (index: number, dx: number, share: number) =>
    keypoints.set([x + dx * tall, top + share * tall, 0, 0.95], 4 * index);
  for (let face = 0; face < 11; face++) {
    put(face, 0.01 * (face - 5), face < 7 ? 0 : 0.03);
  }
  for (const side of [0, 1]) {
    const to = side ? -1 : 1;
    for (const [joint, dx, share] of [
      [11, 0.1, 0.15],
      [13, 0.13, 0.33],
      [15, 0.14, 0.5],
      [17, 0.14, 0.53],
      [19, 0.14, 0.54],
      [21, 0.13, 0.52],
      [23, 0.06, 0.5],
      [25, 0.07, 0.73],
      [27, 0.07, 0.94],
      [29, 0.07, 0.97],
      [31, 0.09, 1],
    ] as const) {
      put(joint + side, to * dx, share);
    }
  }
  return keypoints;
}
