/** Hints about the person whom the preview follows. */

import { graded } from "../figures/calm.ts";
import { tallInModel } from "../figures/framing.ts";
import { type Hint, levelOf, unknown } from "./hint.ts";

/** The side of the square into which the picture is made to fit: that of RTMO s, m and l. */
const MODEL_PX = 640;
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

/** In px of the model's square; docs/live.md has the measurement. */
const TALL: readonly [number, number] = [120, 70];

export const size: Hint = {
  name: "Size",
  reason: `The analysis sees the picture scaled to ${MODEL_PX} px at its longer side; of small people it loses hands and feet first.`,
  judge: ({ person, width, height, preview }, before) => {
    if (person === undefined || person === "nobody" || preview !== "ready") {
      return unknown("Known once somebody is seen.");
    }
    const px = tallInModel(person.tallPx, width, height, MODEL_PX);
    const grade = graded(px, TALL, before);
    const text = `${Math.round(person.tallPx)} px tall, ${Math.round(px)} px for the analysis`;
    const fix = `Go nearer or zoom in, until they are ${Math.round((person.tallPx * TALL[0]) / px)} px tall or more.`;
    return {
      grade,
      judged: { is: `${grade}`, level: levelOf(grade), text: `${text}.`, fix: grade ? fix : "" },
    };
  },
};
