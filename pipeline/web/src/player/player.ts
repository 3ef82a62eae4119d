/**
 * Shows a video with the poses of a run. A picture and its poses are drawn in one go, and only poses of the frame that
 * has the picture's own time.
 */

import { Again, lineOf } from "../again.ts";
import { passes } from "../api.ts";
import type { Ticking } from "./clock.ts";
import { type Cut, marked } from "./cut.ts";
import { Follower } from "./follow.ts";
import type { FrameTable } from "./frame_table.ts";
import { type Detail, drawPeople, personAt, prepare } from "./overlay.ts";
import type { Footage, Picture } from "./picture.ts";
import type { PlayerState } from "./player_state.ts";
import { isHeard, playReel, stepBackward } from "./playing.ts";
import type { FramePoses, Person } from "./pose_segment.ts";
import type { PoseStore } from "./pose_store.ts";

export const MIN_SPEED = 0.1;
export const MAX_SPEED = 2;

export class Player {
  readonly table: FrameTable;
  private readonly context: CanvasRenderingContext2D;
  private readonly footage: Footage;
  private readonly store: PoseStore;
  private readonly onState: (state: PlayerState) => void;
  private readonly follower = new Follower();
  private readonly again = new Again();
  private picture: Picture | undefined;
  private poses: FramePoses | undefined;
  /** The frame that was asked for last. */
  private goal = 0;
  private wanted: number | undefined;
  private settling: Promise<void> | undefined;
  private playing: -1 | 0 | 1 = 0;
  private speed = 1;
  private detail: Detail = "skeletons";
  private hideOthers = false;
  private volume = 1;
  private cut: Cut = {};
  /** What is shown is being recorded, and follows no other wish. */
  private recorded = false;
  private error: string | undefined;
  private run: Ticking | undefined;
  private disposed = false;

  constructor(
    canvas: HTMLCanvasElement,
    table: FrameTable,
    footage: Footage,
    store: PoseStore,
    onState: (state: PlayerState) => void,
  ) {
    this.context = prepare(canvas, table.header);
    this.table = table;
    this.footage = footage;
    this.store = store;
    this.onState = onState;
  }

  get state(): PlayerState {
    return {
      frame: this.picture?.frame,
      time: this.picture?.frame === undefined ? this.picture?.time : this.table.ownTimeOf(this.picture.frame),
      playing: this.playing,
      seeking: this.settling !== undefined,
      speed: this.speed,
      certainty: this.footage.certainty,
      poses: this.poses,
      following: this.follower.active,
      followed: this.follower.followed,
      hideOthers: this.hideOthers,
      detail: this.detail,
      volume: this.volume,
      cut: this.cut,
      recorded: this.recorded,
      error: this.error ?? this.store.error,
    };
  }

  /** Show one frame. */
  async seek(frame: number): Promise<void> {
    if (!this.recorded) {
      this.pause();
      await this.ask(frame);
    }
  }

  /** Show one frame with what the run has of it, and return that once it is drawn. */
  async showWhole(frame: number): Promise<FramePoses> {
    await this.ask(frame);
    await this.store.get(frame);
    this.paint();
    if (this.picture?.frame !== frame || !this.poses) {
      throw new Error(this.state.error ?? `frame ${frame} cannot be shown here`);
    }
    return this.poses;
  }

  /** Let only `showWhole` choose what is shown, until `record(false)`. */
  record(on: boolean): void {
    this.pause();
    this.recorded = on;
    this.tell();
  }

  /** A clip begins, or ends, with the frame that is shown; or is chosen no longer. */
  mark(end: keyof Cut | undefined): void {
    this.cut = end ? marked(this.cut, end, this.picture?.frame) : {};
    this.tell();
  }

  /** Go so many frames on, or back. */
  step(frames: number): Promise<void> {
    if (this.playing !== 0 && this.picture?.frame !== undefined) {
      this.goal = this.picture.frame;
    }
    return this.seek(this.goal + frames);
  }

  play(direction: -1 | 1 = 1): void {
    if (this.recorded) {
      return;
    }
    this.pause();
    const shown = this.picture?.frame ?? this.goal;
    const last = this.table.frames - 1;
    const from = direction === 1 && shown >= last ? 0 : direction === -1 && shown <= 0 ? last : shown;
    this.playing = direction;
    this.run = direction === 1 ? this.playForward(from) : this.playBackward(from);
    this.tell();
  }

  pause(): void {
    this.again.stop();
    this.run?.stop();
    this.run = undefined;
    this.playing = 0;
    this.goal = this.wanted ?? this.picture?.frame ?? this.goal;
    this.tell();
  }

  setSpeed(speed: number): void {
    this.speed = Math.min(MAX_SPEED, Math.max(MIN_SPEED, Math.round(speed * 100) / 100));
    if (this.playing === 0) {
      this.tell();
    } else {
      this.play(this.playing);
    }
  }

  setVolume(volume: number): void {
    this.volume = volume;
    this.footage.sound?.setVolume(volume);
    this.tell();
  }

  setDetail(detail: Detail): void {
    this.detail = detail;
    this.paint();
  }

  setHideOthers(hide: boolean): void {
    this.hideOthers = hide;
    this.paint();
  }

  /** Follow the person at a place of the video, in its pixels; nobody where there is none. */
  followAt(x: number, y: number): void {
    const people = this.poses?.state === "done" ? this.poses.people : [];
    this.follow(personAt(people, x, y));
  }

  follow(person: Person | undefined): void {
    this.follower.follow(person);
    this.paint();
  }

  /** Draw a box around somebody in the picture; around nobody without. */
  point(person: Person | undefined): void {
    this.follower.pointed = person;
    this.paint();
  }

  /** What is shown, as it is drawn. */
  get canvas(): HTMLCanvasElement {
    return this.context.canvas;
  }

  dispose(): void {
    this.disposed = true;
    this.again.stop();
    this.run?.stop();
    this.picture?.close();
    this.picture = undefined;
    this.store.dispose();
    this.footage.dispose();
  }

  private ask(frame: number): Promise<void> {
    this.goal = Math.min(this.table.frames - 1, Math.max(0, Math.round(frame)));
    this.wanted = this.goal;
    this.settling ??= this.settle().finally(() => {
      this.settling = undefined;
    });
    return this.settling;
  }

  /** Show the frame that is wanted until no other was asked for meanwhile. */
  private async settle(): Promise<void> {
    while (this.wanted !== undefined && !this.disposed) {
      const frame = this.wanted;
      this.wanted = undefined;
      const over = () => this.disposed || this.playing === 1;
      const superseded = () => this.wanted !== undefined || over();
      try {
        const picture = await this.footage.picture(frame, superseded);
        if (over()) {
          picture?.close();
        } else if (picture) {
          this.show(picture);
        } else if (!superseded()) {
          this.fail(new Error(`Frame ${frame} cannot be decoded here.`), frame);
        }
      } catch (error) {
        this.fail(error, frame);
      }
    }
  }

  private playForward(from: number): Ticking {
    const reel = this.footage.play(from, this.speed);
    return playReel(reel, {
      start: this.table.timeOf(from),
      speed: this.speed,
      sound: isHeard(this.speed) ? this.footage.sound : undefined,
      show: (picture) => this.show(picture),
      ended: () => this.pause(),
      failed: (error) => this.fail(error),
    });
  }

  private playBackward(from: number): Ticking {
    void this.ask(from);
    return stepBackward(this.table, from, this.speed, {
      rests: () => this.settling === undefined,
      goal: () => this.goal,
      ask: (frame) => void this.ask(frame),
      ended: () => this.pause(),
    });
  }

  private show(picture: Picture): void {
    if (this.picture !== picture) {
      this.picture?.close();
    }
    this.picture = picture;
    this.error = undefined;
    this.paint();
  }

  /** Draw the picture and the poses of its own frame, in one go; again, where more poses may have come. */
  paint(): void {
    const { picture, context } = this;
    if (!picture) {
      this.tell();
      return;
    }
    const { width, height } = context.canvas;
    this.poses = picture.frame === undefined ? undefined : this.store.peek(picture.frame);
    const people = this.poses?.state === "done" ? this.poses.people : [];
    const marks = this.follower.mark(people);
    picture.draw(context, width, height);
    drawPeople(context, people, {
      detail: this.detail,
      skeleton: this.table.header.skeleton,
      scale: width / this.table.header.width,
      ...marks,
      hideOthers: this.hideOthers,
    });
    this.tell();
  }

  /** Stop with an error; where it passes by itself, go on with what was done as soon as it has. */
  private fail(error: unknown, frame = this.goal): void {
    const { playing } = this;
    this.error = lineOf(error);
    this.pause();
    if (passes(error) && !this.recorded && !this.disposed) {
      this.again.later(() => (playing === 0 ? void this.ask(frame) : this.play(playing)));
    }
  }

  private tell(): void {
    if (!this.disposed) {
      this.onState(this.state);
    }
  }
}
