/** The time while a video plays. */

import type { SoundPlaying } from "./picture.ts";

/** Something done before each picture of the screen. */
export class Ticking {
  stopped = false;
  private readonly onStop: () => void;

  constructor(tick: () => void, onStop: () => void) {
    this.onStop = onStop;
    const next = () => {
      if (!this.stopped) {
        tick();
        requestAnimationFrame(next);
      }
    };
    requestAnimationFrame(next);
  }

  stop(): void {
    if (!this.stopped) {
      this.stopped = true;
      this.onStop();
    }
  }
}

/** The time of the video while it plays: that of the sound, or of this machine. */
export class Clock {
  held = true;
  private at: number;
  private since = 0;
  private sound: SoundPlaying | undefined;
  private readonly speed: number;

  constructor(at: number, speed: number) {
    this.at = at;
    this.speed = speed;
  }

  now(): number {
    if (this.held) {
      return this.at;
    }
    return this.sound ? this.sound.now() : this.at + ((performance.now() - this.since) / 1000) * this.speed;
  }

  hold(at: number): void {
    this.stop();
    this.at = at;
  }

  go(sound: SoundPlaying | undefined): void {
    this.sound = sound;
    this.since = performance.now();
    this.held = false;
  }

  stop(): void {
    this.sound?.stop();
    this.sound = undefined;
    this.held = true;
  }
}
