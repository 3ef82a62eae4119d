/** The poses of some seconds of a run. */

import { at, Columns } from "./packed.ts";

export interface PoseSegmentHeader {
  readonly run_id: string;
  readonly segment: number;
  readonly first_frame: number;
  readonly frames: number;
  readonly poses: number;
  readonly keypoints: number;
  readonly units_a_px: number;
  readonly reasons: readonly string[];
  /** Nothing of it will change. */
  readonly final: boolean;
}

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly confidence: number;
}

export interface Person {
  readonly score: number;
  /** Left, top, right, bottom, in pixels of the frame as displayed. */
  readonly box: readonly [number, number, number, number];
  readonly points: readonly Point[];
}

/** What a run has of a frame. */
export type FramePoses =
  | { readonly state: "done"; readonly people: readonly Person[] }
  | { readonly state: "to come" }
  | { readonly state: "missing"; readonly reason: string };

const DONE = 0;
const TO_COME = 1;
const MISSING = 2;

export class PoseSegment {
  readonly header: PoseSegmentHeader;
  private readonly states: Uint8Array;
  private readonly people: Uint16Array;
  private readonly scores: Uint8Array;
  private readonly boxes: Int16Array;
  private readonly places: Int16Array;
  private readonly confidences: Uint8Array;
  /** Where each frame's pose of a rank is in the columns; by rank. */
  private readonly offsets: Int32Array[] = [];

  constructor(data: ArrayBuffer) {
    const columns = new Columns<PoseSegmentHeader>("PLPS", data);
    this.header = columns.header;
    const { frames, poses, keypoints } = columns.header;
    this.states = columns.take(frames);
    this.people = columns.uint16(frames);
    this.scores = columns.take(poses);
    this.boxes = columns.coordinates(4, poses);
    this.places = columns.coordinates(2 * keypoints, poses);
    this.confidences = columns.bytesOfDifferences(keypoints, poses);
    const most = this.people.reduce((a, b) => Math.max(a, b), 0);
    let pose = 0;
    for (let rank = 0; rank < most; rank++) {
      const offsets = new Int32Array(frames);
      for (let frame = 0; frame < frames; frame++) {
        offsets[frame] = pose;
        pose += at(this.people, frame) > rank ? 1 : 0;
      }
      this.offsets.push(offsets);
    }
  }

  /** The bytes that it keeps in memory. */
  get bytes(): number {
    const offsets = 4 * this.offsets.length * this.header.frames;
    return 2 * (this.boxes.length + this.places.length) + this.confidences.length + offsets;
  }

  /** A frame by its number in the video. */
  frame(number: number): FramePoses {
    const frame = number - this.header.first_frame;
    const state = at(this.states, frame);
    if (state === TO_COME) {
      return { state: "to come" };
    }
    if (state !== DONE) {
      return { state: "missing", reason: this.header.reasons[state - MISSING] ?? "not analysed" };
    }
    const people = this.offsets.slice(0, at(this.people, frame)).map((offsets) => this.person(at(offsets, frame)));
    return { state: "done", people };
  }

  private person(pose: number): Person {
    const { poses, keypoints, units_a_px } = this.header;
    const points = Array.from({ length: keypoints }, (_, k) => ({
      x: at(this.places, k * poses + pose) / units_a_px,
      y: at(this.places, (keypoints + k) * poses + pose) / units_a_px,
      confidence: at(this.confidences, k * poses + pose) / 255,
    }));
    const side = (which: number) => at(this.boxes, which * poses + pose) / units_a_px;
    return { score: at(this.scores, pose) / 255, box: [side(0), side(1), side(2), side(3)], points };
  }
}
