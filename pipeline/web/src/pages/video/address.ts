/** The frame in the page's address, so that a link shows it. */

import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";

const EVERY_MS = 400;

export function frameOfAddress(): number | undefined {
  const given = /^#frame=(\d+)$/.exec(window.location.hash)?.[1];
  return given === undefined ? undefined : Number(given);
}

/** The address that shows a frame. */
export function addressOf(frame: number): string {
  return `${window.location.href.split("#")[0]}#frame=${frame}`;
}

/** Writes the frame into the address where the player rests, and goes where a changed address says. */
export function keepFrameInAddress(state: () => PlayerState, player: Player): () => void {
  let seen = window.location.hash;
  // Browsers refuse addresses that change at every frame.
  const timer = setInterval(() => {
    const { frame, playing, seeking } = state();
    const changing = window.location.hash !== seen; // the browser is about to say so
    // What was asked for is in the address already, and may not be overwritten: nobody could ask for it again.
    if (playing === 0 && !seeking && frame !== undefined && frame !== frameOfAddress() && !changing) {
      window.history.replaceState(window.history.state, "", addressOf(frame));
      seen = window.location.hash;
    }
  }, EVERY_MS);
  const go = () => {
    seen = window.location.hash;
    const frame = frameOfAddress();
    if (frame !== undefined) {
      void player.seek(frame);
    }
  };
  window.addEventListener("hashchange", go);
  return () => {
    clearInterval(timer);
    window.removeEventListener("hashchange", go);
  };
}
