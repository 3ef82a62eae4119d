/** Angles at a person's joints, in the plane of the picture. */

import { MIN_CONFIDENCE } from "./overlay.ts";
import type { Person, Point } from "./pose_segment.ts";

export interface Angle {
  readonly joint: string;
  readonly side: "left" | "right";
  /** 0 to 180; undefined where a point of it is too uncertain. */
  readonly degrees: number | undefined;
}

/** Joint, and the points whose lines meet there; all of one side of the body. */
const JOINTS: readonly (readonly [string, string, string, string])[] = [
  ["shoulder", "elbow", "shoulder", "hip"],
  ["elbow", "shoulder", "elbow", "wrist"],
  ["hip", "shoulder", "hip", "knee"],
  ["knee", "hip", "knee", "ankle"],
  ["ankle", "knee", "ankle", "big_toe"],
];

/** The angles that a set of keypoints has. */
export function anglesOf(person: Person, names: readonly string[]): Angle[] {
  const angles: Angle[] = [];
  for (const [joint, ...ends] of JOINTS) {
    for (const side of ["left", "right"] as const) {
      const at = ends.map((end) => names.indexOf(`${side}_${end}`));
      if (at.every((index) => index >= 0)) {
        const [a, b, c] = at.map((index) => person.points[index] as Point) as [Point, Point, Point];
        const sure = Math.min(a.confidence, b.confidence, c.confidence) >= MIN_CONFIDENCE;
        angles.push({ joint, side, degrees: sure ? degreesAt(a, b, c) : undefined });
      }
    }
  }
  return angles;
}

/** The angle at `b` between the lines to `a` and `c`. */
function degreesAt(a: Point, b: Point, c: Point): number {
  const [ux, uy, vx, vy] = [a.x - b.x, a.y - b.y, c.x - b.x, c.y - b.y];
  return (Math.atan2(Math.abs(ux * vy - uy * vx), ux * vx + uy * vy) * 180) / Math.PI;
}
