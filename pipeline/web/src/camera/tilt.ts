/** How this device is tilted, by its own sensors. */

import { rollOf } from "./figures/level.ts";

interface AskingOrientation {
  /** iOS asks its person, once, after a press. */
  requestPermission?(): Promise<"granted" | "denied">;
}

/** How much of each new value counts: hands tremble faster than cameras are turned. */
const WEIGHT = 0.2;

/**
 * Follow the tilt. `onRoll` is called with degrees as `rollOf` gives them, undefined while the device lies nearly flat;
 * never where there is no sensor. Must be called from a press. The returned function ends it.
 */
export function followTilt(onRoll: (roll: number | undefined) => void): () => void {
  const ended = new AbortController();
  let smooth: number | undefined;
  const begin = async () => {
    const asking = window.DeviceOrientationEvent as AskingOrientation | undefined;
    if (asking?.requestPermission && (await asking.requestPermission()) !== "granted") {
      return;
    }
    window.addEventListener(
      "deviceorientation",
      ({ beta, gamma }) => {
        if (beta === null || gamma === null) {
          return;
        }
        const roll = rollOf(beta, gamma, window.screen.orientation?.angle ?? 0);
        smooth =
          roll === undefined || smooth === undefined || Math.abs(roll - smooth) > 20
            ? roll
            : smooth + WEIGHT * (roll - smooth);
        onRoll(smooth);
      },
      { signal: ended.signal },
    );
  };
  begin().catch(() => undefined); // refused: the level by hand stays
  return () => ended.abort();
}
