/** The frame in the page's address, and what goes along beside it, so that a link shows them. */

import { type Signal, signal } from "@preact/signals";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";

/** A run that goes along beside the one that is watched. */
export interface Beside {
  readonly video: string;
  readonly run: string;
  /** By how many seconds the time that it shows is later. */
  readonly later: number;
}

const EVERY_MS = 400;
/** `#frame=12`, or `#frame=12&beside=VIDEO/RUN/LATER`. */
const FRAGMENT = /^#frame=(\d+)(?:&beside=([\w-]+)\/([\w-]+)\/(-?\d+(?:\.\d+)?))?$/;

/** What goes along beside the video of the page. */
export const beside: Signal<Beside | undefined> = signal(undefined);

export function frameOfAddress(): number | undefined {
  const given = FRAGMENT.exec(window.location.hash)?.[1];
  return given === undefined ? undefined : Number(given);
}

export function besideOfAddress(): Beside | undefined {
  const [, , video, run, later] = FRAGMENT.exec(window.location.hash) ?? [];
  return video && run ? { video, run, later: Number(later) } : undefined;
}

/** The address that shows a frame, with what goes along beside it. */
export function addressOf(frame: number): string {
  return `${window.location.href.split("#")[0]}${fragmentOf(frame)}`;
}

function fragmentOf(frame: number): string {
  const other = beside.value;
  return `#frame=${frame}${other ? `&beside=${other.video}/${other.run}/${Number(other.later.toFixed(6))}` : ""}`;
}

/** Writes the frame into the address where the player rests, and goes where a changed address says. */
export function keepFrameInAddress(state: () => PlayerState, player: Player): () => void {
  let seen = window.location.hash;
  // Browsers refuse addresses that change at every frame.
  const timer = setInterval(() => {
    const { frame, playing, seeking } = state();
    const changing = window.location.hash !== seen; // the browser is about to say so
    // What was asked for is in the address already, and may not be overwritten: nobody could ask for it again.
    if (playing === 0 && !seeking && frame !== undefined && fragmentOf(frame) !== seen && !changing) {
      window.history.replaceState(window.history.state, "", addressOf(frame));
      seen = window.location.hash;
    }
  }, EVERY_MS);
  const go = () => {
    seen = window.location.hash;
    const frame = frameOfAddress();
    if (frame !== undefined) {
      beside.value = besideOfAddress();
      void player.seek(frame);
    }
  };
  window.addEventListener("hashchange", go);
  return () => {
    clearInterval(timer);
    window.removeEventListener("hashchange", go);
  };
}
