/** Hints about the person whom the preview follows. */

import { graded } from "../figures/calm.ts";
import { tallInModel } from "../figures/framing.ts";
import { type Hint, levelOf, unknown } from "./hint.ts";

/** The side of the square into which the bundled model's picture is made to fit; other models' are larger. */
const MODEL_PX = 384;

export const wholePerson: Hint = {
  name: "Whole person",
  reason: "A joint outside the picture cannot be measured, and those beside it become less certain.",
  judge: ({ person, preview }) => {
    if (preview !== "ready") {
      return unknown(
        preview === "loading" ? "The preview is still loading." : "Without the preview this is not known.",
        preview,
      );
    }
    if (person === undefined || person === "nobody") {
      return unknown("Nobody is seen.", "nobody", "Let somebody stand where the action will be.");
    }
    const { edges } = person;
    if (edges.length === 0) {
      return { judged: { is: "whole", level: "good", text: "From head to feet, with room around." } };
    }
    const vertical = edges.filter((edge) => edge === "top" || edge === "bottom");
    const [one] = edges;
    return {
      judged: {
        is: edges.join(" "),
        level: "bad",
        text: `Cut off, or nearly, at the ${edges.join(" and the ")}.`,
        fix:
          edges.length > 1 || vertical.length > 1
            ? "Step back with the camera, or zoom out."
            : one === "top" || one === "bottom"
              ? `Tilt the camera ${one === "top" ? "up" : "down"}, or step back.`
              : `Turn the camera to the ${one}, or step back.`,
      },
    };
  },
};

/**
 * In px of that square. Of people of 84 px the bundled model found 9 of 10, their joints off by 2 to 4 % of their height;
 * of 60 px 4 to 8 of 10, off by 3 to 6 %; of 36 px hardly any. docs/live.md has the measurement.
 */
const TALL: readonly [number, number] = [80, 60];

export const size: Hint = {
  name: "Size",
  reason: `The analysis sees the picture made to fit a square of ${MODEL_PX} to 640 px. Of small people it first loses hands and feet, then all.`,
  judge: ({ person, width, height, preview }, before) => {
    if (person === undefined || person === "nobody" || preview !== "ready") {
      return unknown("Known once somebody is seen.");
    }
    const px = tallInModel(person.tallPx, width, height, MODEL_PX);
    const grade = graded(px, TALL, before);
    const text = `${Math.round(person.tallPx)} px tall, ${Math.round(px)} in the bundled model's square of ${MODEL_PX}`;
    // With the tenth that it takes to be judged better.
    const needed = Math.round((1.1 * TALL[0] * person.tallPx) / px);
    const fix = `Go nearer or zoom in, until they are ${needed} px tall or more.`;
    return {
      grade,
      judged: { is: `${grade}`, level: levelOf(grade), text: `${text}.`, fix: grade ? fix : "" },
    };
  },
};
