/** The keyboard: arrows step one frame; J, K and L play backward, pause and play, faster each time; I and O cut. */

import { MAX_SPEED, MIN_SPEED, type Player } from "../../player/player.ts";

export const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2] as const;
const FAR = 10;

/** The next speed up or down. */
export function nextSpeed(speed: number, direction: -1 | 1): number {
  const found =
    direction === 1 ? SPEEDS.find((each) => each > speed + 0.001) : SPEEDS.findLast((each) => each < speed - 0.001);
  return found ?? (direction === 1 ? MAX_SPEED : MIN_SPEED);
}

const KEYS: Readonly<Record<string, (player: Player, shift: boolean) => void>> = {
  ArrowLeft: (player, shift) => void player.step(shift ? -FAR : -1),
  ArrowRight: (player, shift) => void player.step(shift ? FAR : 1),
  Home: (player) => void player.seek(0),
  End: (player) => void player.seek(player.table.frames - 1),
  j: (player) => playOrHasten(player, -1),
  k: (player) => player.pause(),
  l: (player) => playOrHasten(player, 1),
  " ": (player) => togglePlaying(player),
  "[": (player) => player.setSpeed(nextSpeed(player.state.speed, -1)),
  "]": (player) => player.setSpeed(nextSpeed(player.state.speed, 1)),
  i: (player) => player.mark("first"),
  o: (player) => player.mark("last"),
  Escape: (player) => player.follow(undefined),
};

export function togglePlaying(player: Player): void {
  if (player.state.playing === 0) {
    player.play(1);
  } else {
    player.pause();
  }
}

export function playOrHasten(player: Player, direction: -1 | 1): void {
  if (player.state.playing === direction) {
    player.setSpeed(nextSpeed(player.state.speed, 1));
  } else {
    player.play(direction);
  }
}

export function listenToKeys(player: Player): () => void {
  const onKey = (event: KeyboardEvent) => {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const isElsewhere = player.state.recorded || document.querySelector(":modal") !== null;
    if (!act || event.ctrlKey || event.metaKey || event.altKey || isElsewhere || isTaken(event)) {
      return;
    }
    event.preventDefault();
    act(player, event.shiftKey);
  };
  window.addEventListener("keydown", onKey);
  return () => window.removeEventListener("keydown", onKey);
}

/** Whether the key means something where it was pressed. */
function isTaken({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) {
    return false;
  }
  if (target instanceof HTMLInputElement) {
    return target.type !== "range" && target.type !== "checkbox";
  }
  return target instanceof HTMLSelectElement || (key === " " && target instanceof HTMLButtonElement);
}
