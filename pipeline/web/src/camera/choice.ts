/** What may be chosen of a camera, and what was chosen last on this device. */

import { type CameraChoice, USUAL } from "./camera.ts";

const KEY = "poseline.camera";

/** Usual sizes of pictures, the largest first; as wide as they are on a device that lies on its side. */
const SIZES: readonly (readonly [number, number])[] = [
  [3840, 2160],
  [2560, 1440],
  [1920, 1080],
  [1280, 720],
  [960, 540],
  [640, 480],
  [640, 360],
];

const RATES = [24, 25, 30, 50, 60, 100, 120, 240];

/** The sizes that a camera can give; all where the browser does not say what it can. */
export function sizesFor(can: MediaTrackCapabilities): readonly (readonly [number, number])[] {
  const [wide, high] = [can.width?.max, can.height?.max];
  if (wide === undefined || high === undefined) {
    return SIZES;
  }
  // Phones that are held upright name them the other way round.
  const [long, short] = [Math.max(wide, high), Math.min(wide, high)];
  return SIZES.filter(([width, height]) => width <= long && height <= short);
}

/** The frame rates that a camera can give. */
export function ratesFor(can: MediaTrackCapabilities): readonly number[] {
  const { min = 0, max = Number.POSITIVE_INFINITY } = can.frameRate ?? {};
  // What a camera calls 30 may be 29.97.
  const fit = RATES.filter((rate) => rate >= min - 0.5 && rate <= max + 0.5);
  return fit.length > 0 ? fit : [Math.round(max)];
}

export function readChoice(): CameraChoice {
  try {
    const held: unknown = JSON.parse(window.localStorage.getItem(KEY) ?? "null");
    return isChoice(held) ? held : USUAL;
  } catch {
    return USUAL;
  }
}

export function rememberChoice(choice: CameraChoice): void {
  window.localStorage.setItem(KEY, JSON.stringify(choice));
}

function isChoice(held: unknown): held is CameraChoice {
  if (typeof held !== "object" || held === null) {
    return false;
  }
  const of = held as Record<string, unknown>;
  const names = Object.entries(USUAL).every(([name, usual]) => typeof of[name] === typeof usual);
  return names && (of.facing === "environment" || of.facing === "user");
}
