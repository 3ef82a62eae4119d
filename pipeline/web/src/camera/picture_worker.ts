/** Looks at pictures, off the page's own thread: reading pixels back from a camera's frame takes some milliseconds. */

import { type Grey, greyOf, spreadOf } from "./figures/grey.ts";
import { lightOf } from "./figures/light.ts";
import { sharpnessOf } from "./figures/sharpness.ts";
import { shiftBetween } from "./figures/shift.ts";
import type { Look, Looked } from "./picture_messages.ts";

/** The whole picture, made small: enough for light, and to see it move by a tenth of such a pixel. */
const SMALL = 160;
/** The side of the part that is looked at pixel by pixel. */
const PART = 320;

const small = new OffscreenCanvas(SMALL, SMALL);
const part = new OffscreenCanvas(PART, PART);
let before: Grey | undefined;

self.onmessage = ({ data }: MessageEvent<Look>) => {
  const { picture, width, height } = data;
  const wide = width >= height ? SMALL : Math.round((SMALL * width) / height);
  const high = width >= height ? Math.round((SMALL * height) / width) : SMALL;
  const whole = read(small, wide, high, (pen) => pen.drawImage(picture, 0, 0, wide, high));
  const [partWide, partHigh] = [Math.min(PART, width), Math.min(PART, height)];
  const left = Math.max(0, Math.min(width - partWide, Math.round(data.x - partWide / 2)));
  const top = Math.max(0, Math.min(height - partHigh, Math.round(data.y - partHigh / 2)));
  const near = read(part, partWide, partHigh, (pen) => pen.drawImage(picture, -left, -top, width, height));
  picture.close();
  const same = before?.width === wide && before.height === high ? before : undefined;
  const shift = same && shiftBetween(same, whole);
  before = whole;
  const looked: Looked = {
    light: lightOf(whole),
    middleMean: spreadOf(near.data).mean,
    sharpness: sharpnessOf(near),
    moved: shift && Math.hypot(shift.x, shift.y),
  };
  self.postMessage(looked);
};

function read(
  canvas: OffscreenCanvas,
  width: number,
  height: number,
  draw: (pen: OffscreenCanvasRenderingContext2D) => void,
): Grey {
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
  }
  const pen = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  if (!pen) {
    throw new Error("no canvas to read pictures from");
  }
  draw(pen);
  return greyOf(pen.getImageData(0, 0, width, height).data, width, height);
}
