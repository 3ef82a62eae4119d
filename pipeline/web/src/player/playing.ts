/** Shows pictures when their time has come. */

import { Clock, Ticking } from "./clock.ts";
import type { FrameTable } from "./frame_table.ts";
import type { Picture, Reel, Sound } from "./picture.ts";

/** Without pictures for so long, playing waits for them. */
const STARVED_MS = 200;
/** Sound of other speeds is noise. */
const HEARD_SPEEDS = [0.5, 2] as const;

export function isHeard(speed: number): boolean {
  return speed >= HEARD_SPEEDS[0] && speed <= HEARD_SPEEDS[1];
}

export interface Playing {
  /** The time of the first picture, in seconds. */
  readonly start: number;
  readonly speed: number;
  readonly sound: Sound | undefined;
  readonly show: (picture: Picture) => void;
  readonly ended: () => void;
  readonly failed: (error: unknown) => void;
}

export function playReel(reel: Reel, { start, speed, sound, show, ended, failed }: Playing): Ticking {
  const clock = new Clock(start, speed);
  let shown = start;
  let starvedSince: number | undefined;
  const run = new Ticking(tick, () => {
    reel.stop();
    clock.stop();
  });
  void restart(start);
  return run;

  function tick(): void {
    const picture = reel.due(clock.now());
    if (picture) {
      shown = picture.time;
      show(picture);
    }
    if (reel.error) {
      failed(reel.error);
    } else if (reel.ended) {
      ended();
    } else if (!reel.ownClock) {
      waitWhereStarved();
    }
  }

  function waitWhereStarved(): void {
    if (reel.nextTime !== undefined) {
      if (starvedSince !== undefined && clock.held) {
        void restart(Math.min(reel.nextTime, clock.now()));
      }
      starvedSince = undefined;
      return;
    }
    starvedSince ??= performance.now();
    if (!clock.held && performance.now() - starvedSince > STARVED_MS) {
      clock.hold(shown);
    }
  }

  async function restart(at: number): Promise<void> {
    clock.hold(at);
    const heard = reel.ownClock ? undefined : await sound?.start(at, speed);
    if (run.stopped) {
      heard?.stop();
    } else {
      clock.go(heard);
    }
  }
}

export interface Stepping {
  /** Whether what was asked for is shown. */
  readonly rests: () => boolean;
  /** The frame that was asked for last. */
  readonly goal: () => number;
  readonly ask: (frame: number) => void;
  readonly ended: () => void;
}

/** Decoders run forward only: asks for the frame whose time it is, whenever the last one has come. */
export function stepBackward(table: FrameTable, from: number, speed: number, stepping: Stepping): Ticking {
  const clock = new Clock(table.timeOf(from), -speed);
  clock.go(undefined);
  return new Ticking(
    () => {
      const frame = table.shownAt(clock.now());
      if (stepping.rests() && frame !== stepping.goal()) {
        stepping.ask(frame);
      }
      if (stepping.goal() === 0 && stepping.rests()) {
        stepping.ended();
      }
    },
    () => clock.stop(),
  );
}
