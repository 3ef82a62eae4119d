/** What the page and the worker that looks at pictures say to each other. */

import type { Light } from "./figures/light.ts";

export interface Look {
  /** The worker closes it. */
  readonly picture: VideoFrame | ImageBitmap;
  readonly width: number;
  readonly height: number;
  /** The middle of what is to be sharp and lit, in px of the frame. */
  readonly x: number;
  readonly y: number;
}

/** What one look tells. */
export interface Looked {
  readonly light: Light;
  /** Of the part around the middle that was asked for, 0 to 255. */
  readonly middleMean: number;
  /** Of that part; undefined where there is nothing in it to be sharp. */
  readonly sharpness: number | undefined;
  /** How far the picture moved since the last look, as a share of its width. */
  readonly moved: number | undefined;
}
