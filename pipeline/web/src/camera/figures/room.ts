/** How long a recording may become. */

/**
 * Bits a second of a recording: 0.15 a pixel is where H.264 from a camera's own encoder shows no blocks on people who run.
 */
export function bitRateFor(width: number, height: number, frameRate: number): number {
  return Math.round(0.15 * width * height * Math.max(1, frameRate));
}

/** Minutes for which there is room. */
export function minutesFor(freeBytes: number, bitsPerS: number): number {
  return (8 * freeBytes) / bitsPerS / 60;
}
