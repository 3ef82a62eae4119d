/** Follows one person from frame to frame: the one whose box overlaps most with where that person was last. */

import type { Person } from "./pose_segment.ts";

const MIN_OVERLAP = 0.2;

type Box = Person["box"];

/** Whether somebody is followed, who of the people in a picture that is, and who is pointed at. */
export interface Marks {
  readonly following: boolean;
  readonly followed: Person | undefined;
  readonly pointed: Person | undefined;
}

export class Follower {
  /** In the picture that was marked last. */
  followed: Person | undefined;
  /** Somebody to be marked without being followed. */
  pointed: Person | undefined;
  private box: Box | undefined;

  get active(): boolean {
    return this.box !== undefined;
  }

  /** Nobody, without. */
  follow(person: Person | undefined): void {
    this.box = person?.box;
  }

  /** Go on to a picture with these people. */
  mark(people: readonly Person[]): Marks {
    this.followed = this.find(people);
    const pointed = people.find((person) => isSame(person, this.pointed));
    return { following: this.active, followed: this.followed, pointed };
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
