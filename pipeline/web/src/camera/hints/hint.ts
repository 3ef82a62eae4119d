/** What a hint is made of: the figures that are known, how they are judged, and what is said. */

import type { Grade } from "../figures/calm.ts";
import type { Edge } from "../figures/framing.ts";
import type { Light } from "../figures/light.ts";
import type { Rate } from "../figures/rate.ts";

/** All that is known now; undefined is what is not known (yet). */
export interface Figures {
  readonly width: number;
  readonly height: number;
  readonly preview: "loading" | "ready" | "failed";
  readonly person:
    | "nobody"
    | { readonly tallPx: number; readonly edges: readonly Edge[]; readonly meanLuma: number | undefined }
    | undefined;
  readonly light: Light | undefined;
  readonly sharpness: number | undefined;
  /** A share of the picture's width. */
  readonly shake: number | undefined;
  /** Degrees, positive where the camera is turned clockwise. */
  readonly roll: number | undefined;
  readonly rate: Rate | undefined;
  /** Frames a second that were asked for. */
  readonly chosenRate: number;
  /** `share` is 0 to 1. */
  readonly battery: { readonly share: number; readonly charging: boolean } | undefined;
  /** Minutes of recording for which there is room. */
  readonly minutes: number | undefined;
}

export type Level = "good" | "fair" | "bad" | "unknown";

/** One hint as it is shown. */
export interface Told {
  readonly name: string;
  readonly level: Level;
  readonly text: string;
  readonly reason: string;
  /** Empty where there is nothing to do. */
  readonly fix: string;
}

/** A judgement: `is` names it, so that it can be seen to last. */
export interface Judged {
  readonly is: string;
  readonly level: Level;
  readonly text: string;
  readonly fix?: string;
}

export interface Hint {
  readonly name: string;
  readonly reason: string;
  /** @param before how its figure was graded last. */
  readonly judge: (figures: Figures, before: Grade | undefined) => { judged: Judged; grade?: Grade };
}

const LEVELS: readonly Level[] = ["good", "fair", "bad"];
export const levelOf = (grade: Grade): Level => LEVELS[grade] ?? "bad";
export const unknown = (text: string, is = "unknown", fix = ""): { judged: Judged } => ({
  judged: { is, level: "unknown", text, fix },
});
