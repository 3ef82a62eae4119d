/** Hints about the picture as such. */

import { type Grade, graded } from "../figures/calm.ts";
import { type Hint, levelOf, unknown } from "./hint.ts";

/** Mean greys, 0 to 255. */
export const MEAN: readonly [number, number] = [70, 40];
const CONTRAST: readonly [number, number] = [60, 30];
const WHITE: readonly [number, number] = [0.15, 0.35];
/** A person so dark before a picture so bright is a silhouette. */
const SHADE = { person: 55, picture: 100 };

export const light: Hint = {
  name: "Light",
  reason: "In the dark a camera exposes longer: fast arms and legs smear, and noise hides joints.",
  judge: ({ light: seen, person }, before) => {
    if (!seen) {
      return unknown("Not measured yet.");
    }
    const mean = graded(seen.mean, MEAN, before);
    const text = `Brightness ${Math.round((100 * seen.mean) / 255)} %, contrast ${Math.round((100 * seen.contrast) / 255)} %`;
    const told = (grade: Grade, is: string, more: string, fix: string) => ({
      grade: mean,
      judged: { is: `${is} ${grade}`, level: levelOf(grade), text: `${text}${more}.`, fix },
    });
    if (mean > 0) {
      return told(
        mean,
        "dark",
        mean > 1 ? ": much too dark" : ": rather dark",
        "Switch lights on, or film nearer to windows or by day.",
      );
    }
    const white = graded(seen.white, WHITE, undefined);
    if (white > 0) {
      const share = `: ${Math.round(100 * seen.white)} % is plain white`;
      return told(white, "glare", share, "Turn the camera away from the sun, lamps or windows, or lower the exposure.");
    }
    const who = typeof person === "object" ? person.meanLuma : undefined;
    if (who !== undefined && who < SHADE.person && seen.mean > SHADE.picture) {
      return told(1, "shade", ", but the person is in the shade", "Film with the light behind the camera.");
    }
    const contrast = graded(seen.contrast, CONTRAST, undefined);
    return contrast > 0
      ? told(contrast, "flat", ": little to tell apart", "Wipe the lens; keep fog, glass and haze out of the way.")
      : told(0, "good", "", "");
  },
};

const SHARP: readonly [number, number] = [0.012, 0.005];

export const sharpness: Hint = {
  name: "Sharpness",
  reason: "In a blurred picture joints are found a few pixels beside where they are.",
  judge: ({ sharpness: value, light: seen }, before) => {
    if (value === undefined) {
      return unknown("Nothing in the picture tells it.");
    }
    if (seen && seen.mean < MEAN[1]) {
      return unknown("Too dark to tell.", "dark");
    }
    const grade = graded(value, SHARP, before);
    return {
      grade,
      judged: {
        is: `${grade}`,
        level: levelOf(grade),
        text: grade ? (grade > 1 ? "Blurred." : "Rather soft.") : "Sharp.",
        fix: grade ? "Wipe the lens, let the camera focus on the person, and hold it still." : "",
      },
    };
  },
};

const SHAKE: readonly [number, number] = [0.0015, 0.006];

export const shake: Hint = {
  name: "Stillness",
  reason: "When the camera moves, every speed that is measured has the camera's in it.",
  judge: ({ shake: value, width }, before) => {
    if (value === undefined) {
      return unknown("Nothing in the picture tells it.");
    }
    const grade = graded(value, SHAKE, before);
    const px = value * width;
    return {
      grade,
      judged: {
        is: `${grade}`,
        level: levelOf(grade),
        text: grade
          ? `The picture moves by ${px < 9.5 ? px.toFixed(1) : px.toFixed(0)} px at a time.`
          : "The camera stands still.",
        fix: grade ? "Put the camera on a tripod or lean it against something." : "",
      },
    };
  },
};
