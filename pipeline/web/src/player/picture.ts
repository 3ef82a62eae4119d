/** A picture of the video together with the time that it came with. */
export interface Picture {
  /** In seconds, as the container has it. */
  readonly time: number;
  /** Which frame it is; undefined where the run's table has none of that time, and so no poses may be drawn on it. */
  readonly frame: number | undefined;
  draw(context: CanvasRenderingContext2D, width: number, height: number): void;
  close(): void;
}

/**
 * How sure it is that poses belong to the picture under them. `decoded`: each picture comes out of the decoder with its
 * time. `presented`: the browser plays, and says of each picture it gives which time it has. `guessed`: the browser
 * says at about what time it is.
 */
export type Certainty = "decoded" | "presented" | "guessed";

/** Where pictures come from. */
export interface Footage {
  readonly certainty: Certainty;
  /** Something that can be heard. */
  readonly sound: Sound | undefined;
  /** A frame's picture; undefined where `superseded()` became true meanwhile, or where the video has no such frame. */
  picture(frame: number, superseded: () => boolean): Promise<Picture | undefined>;
  /** Pictures from a frame on, each with its time. Whoever takes one closes it. */
  play(frame: number, speed: number): Reel;
  dispose(): void;
}

/** A run of pictures. */
export interface Reel {
  /** The last picture whose time has come by `seconds`; undefined where no other is due. The ones before are skipped. */
  due(seconds: number): Picture | undefined;
  /** No more pictures come. */
  readonly ended: boolean;
  /** The time of the next picture that is here; undefined where it is still being decoded. */
  readonly nextTime: number | undefined;
  /** The reel keeps its own time, and `due` is asked without one. */
  readonly ownClock: boolean;
  readonly error: unknown;
  stop(): void;
}

export interface Sound {
  /** Play from a time on; returns a clock that gives the time heard now. */
  start(from: number, speed: number): Promise<SoundPlaying | undefined>;
  setVolume(volume: number): void;
  dispose(): void;
}

export interface SoundPlaying {
  now(): number;
  stop(): void;
}
