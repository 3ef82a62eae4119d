/** Follows one person from frame to frame: the one whose box overlaps most with where that person was last. */

import type { Person } from "./pose_segment.ts";

const MIN_OVERLAP = 0.2;

type Box = Person["box"];

export class Follower {
  private box: Box | undefined;

  get active(): boolean {
    return this.box !== undefined;
  }

  start(person: Person): void {
    this.box = person.box;
  }

  stop(): void {
    this.box = undefined;
  }

  /** Who of these people it is; undefined where nobody is near enough. */
  find(people: readonly Person[]): Person | undefined {
    const last = this.box;
    if (!last) {
      return undefined;
    }
    let best: Person | undefined;
    let most = MIN_OVERLAP;
    for (const person of people) {
      const overlap = intersectionOverUnion(person.box, last);
      if (overlap > most) {
        [best, most] = [person, overlap];
      }
    }
    this.box = best?.box ?? last;
    return best;
  }
}

/** Whether these are the same person of the same picture; each time that a picture is drawn its people are read anew. */
export function isSame(a: Person | undefined, b: Person | undefined): boolean {
  return a !== undefined && b !== undefined && a.box.every((edge, index) => edge === b.box[index]);
}

export function intersectionOverUnion(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) {
    return 0;
  }
  const area = (box: Box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(a) + area(b) - width * height);
}
