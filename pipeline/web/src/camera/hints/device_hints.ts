/** Hints about how the device stands, what its camera gives, and how long it can film. */

import { graded } from "../figures/calm.ts";
import { type Hint, levelOf, unknown } from "./hint.ts";
import { MEAN } from "./picture_hints.ts";

const ROLL: readonly [number, number] = [1.5, 4];

export const horizon: Hint = {
  name: "Horizon",
  reason: "Angles to the vertical, such as that of a trunk, are wrong by as much as the camera leans.",
  judge: ({ roll }, before) => {
    if (roll === undefined) {
      return unknown("Not measured.", "unknown", "Switch the level on; without a sensor, lay its line on the horizon.");
    }
    const grade = graded(Math.abs(roll), ROLL, before);
    const degrees = Math.abs(roll).toFixed(1);
    const side = roll > 0 ? "clockwise" : "anticlockwise";
    return {
      grade,
      judged: {
        is: grade ? `${grade} ${side}` : "0",
        level: levelOf(grade),
        text: grade
          ? `The camera leans ${degrees}° ${side}.`
          : `Level, within ${Math.max(0.1, Math.abs(roll)).toFixed(1)}°.`,
        fix: grade ? `Turn it ${degrees}° ${roll > 0 ? "anticlockwise" : "clockwise"}.` : "",
      },
    };
  },
};

/** Shares of the frame rate that was asked for. */
const RATE: readonly [number, number] = [0.93, 0.7];

export const rate: Hint = {
  name: "Frame rate",
  reason: "Between two frames nothing is measured; a fast movement needs many of them.",
  judge: ({ rate: value, chosenRate, light: seen }, before) => {
    if (!value) {
      return unknown("Not measured yet.");
    }
    const grade = graded(value.fps / chosenRate, RATE, before);
    const dark = seen !== undefined && seen.mean < MEAN[0];
    const text = `${value.fps.toFixed(1)} frames a second of ${chosenRate}`;
    const fix = dark
      ? "It is dark, so that the camera exposes each frame for longer: bring more light."
      : "Choose a lower resolution, or a frame rate that the camera has at this one; close what else keeps this device busy.";
    return {
      grade,
      judged: {
        is: `${grade}${grade && dark ? " dark" : ""}`,
        level: levelOf(grade),
        text: `${text}${value.uneven > 0.1 ? ", unevenly" : ""}.`,
        fix: grade ? fix : "",
      },
    };
  },
};

const BATTERY: readonly [number, number] = [0.4, 0.15];

export const battery: Hint = {
  name: "Battery",
  reason: "Filming with a preview empties most phones within two to three hours.",
  judge: ({ battery: told }, before) => {
    if (!told) {
      return unknown("This browser does not tell it.");
    }
    const grade = told.charging ? 0 : graded(told.share, BATTERY, before);
    return {
      grade,
      judged: {
        is: `${grade} ${told.charging}`,
        level: levelOf(grade),
        text: `${Math.round(100 * told.share)} %${told.charging ? ", charging" : ""}.`,
        fix: grade ? "Plug the device in, or bring a power bank." : "",
      },
    };
  },
};

const MINUTES: readonly [number, number] = [30, 5];

export const storage: Hint = {
  name: "Storage",
  reason: "A recording stays on this device until it is uploaded.",
  judge: ({ minutes }, before) => {
    if (minutes === undefined) {
      return unknown("This browser does not tell it.");
    }
    const grade = graded(minutes, MINUTES, before);
    const text = minutes >= 120 ? `${Math.floor(minutes / 60)} hours` : `${Math.floor(minutes)} minutes`;
    return {
      grade,
      judged: {
        is: `${grade}`,
        level: levelOf(grade),
        text: `Room for about ${text} of recording.`,
        fix: grade ? "Upload and remove earlier recordings, or choose a lower resolution." : "",
      },
    };
  },
};
