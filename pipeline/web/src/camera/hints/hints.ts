/** What a coach should know before filming: how each figure is judged, why it matters, and what to do. */

import { type Grade, Settled } from "../figures/calm.ts";
import { battery, horizon, rate, storage } from "./device_hints.ts";
import type { Figures, Told } from "./hint.ts";
import { size, wholePerson } from "./person_hints.ts";
import { light, shake, sharpness } from "./picture_hints.ts";

/** So long a judgement must have lasted before it is shown. */
const PATIENCE_MS = 900;

const HINTS = [wholePerson, size, light, sharpness, shake, horizon, rate, battery, storage] as const;

/** All hints, each as calm as its own history makes it. */
export class Hints {
  private readonly states = HINTS.map(() => ({
    settled: new Settled<string>(PATIENCE_MS),
    grade: undefined as Grade | undefined,
    told: undefined as Told | undefined,
  }));

  /** @param now of any clock, in ms. */
  see(figures: Figures, now: number): readonly Told[] {
    return HINTS.map((hint, index) => {
      const state = this.states[index];
      const { judged, grade } = hint.judge(figures, state?.grade);
      const { is, level, text, fix = "" } = judged;
      const told: Told = { name: hint.name, reason: hint.reason, level, text, fix };
      if (!state) {
        return told;
      }
      state.grade = grade;
      // While another judgement has not lasted, the old one stays, with the numbers that belong to it.
      if (state.settled.see(is, now) === is || !state.told) {
        state.told = told;
      }
      return state.told;
    });
  }
}
