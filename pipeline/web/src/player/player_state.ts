/** What a player tells the page. */

import type { Cut } from "./cut.ts";
import type { Detail } from "./overlay.ts";
import type { Certainty } from "./picture.ts";
import type { FramePoses, Person } from "./pose_segment.ts";

export interface PlayerState {
  /** The frame that is shown; undefined where its time is in no frame of the run. */
  readonly frame: number | undefined;
  /** Of the picture that is shown, in seconds, as the container has it. */
  readonly time: number | undefined;
  readonly playing: -1 | 0 | 1;
  /** Another frame was asked for, and is on its way. */
  readonly seeking: boolean;
  readonly speed: number;
  readonly certainty: Certainty;
  /** What the run has of the frame; undefined while it is fetched. */
  readonly poses: FramePoses | undefined;
  readonly following: boolean;
  /** The person that is followed, where it is in view. */
  readonly followed: Person | undefined;
  readonly hideOthers: boolean;
  readonly detail: Detail;
  readonly volume: number;
  /** What was chosen to be a clip. */
  readonly cut: Cut;
  /** It is being saved as a clip, frame by frame. */
  readonly recorded: boolean;
  readonly error: string | undefined;
}
