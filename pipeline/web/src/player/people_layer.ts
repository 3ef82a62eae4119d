/** How the people of a picture are drawn on it: in what detail, who is followed, and who is pointed at. */

import { Follower, isSame } from "./follow.ts";
import type { FrameTable } from "./frame_table.ts";
import { type Detail, drawPeople } from "./overlay.ts";
import type { Person } from "./pose_segment.ts";

export class PeopleLayer {
  detail: Detail = "skeletons";
  hideOthers = false;
  pointed: Person | undefined;
  /** Who is followed, where that person is in the picture that was drawn last. */
  followed: Person | undefined;
  private readonly follower = new Follower();

  get following(): boolean {
    return this.follower.active;
  }

  follow(person: Person | undefined): void {
    this.follower.stop();
    if (person) {
      this.follower.start(person);
    }
  }

  draw(context: CanvasRenderingContext2D, people: readonly Person[], { header }: FrameTable): void {
    this.followed = this.follower.find(people);
    drawPeople(context, people, {
      detail: this.detail,
      skeleton: header.skeleton,
      scale: context.canvas.width / header.width,
      following: this.following,
      followed: this.followed,
      pointed: people.find((person) => isSame(person, this.pointed)),
      hideOthers: this.hideOthers,
    });
  }
}
