/**
 * How well the preview's one person agrees with the person that the server found nearest to it, in the same frame: by
 * OKS, COCO's object keypoint similarity, as `pipeline/core/oks.py` computes it.
 */

import { PER_KEYPOINT } from "../camera/preview_messages.ts";
import { KEYPOINTS } from "../camera/skeleton.ts";
import { quantile } from "../camera/stage_times.ts";
import type { Person } from "../player/pose_segment.ts";

/** COCO's 17 keypoints with their sigmas (`COCO_SIGMAS`). */
export const COCO: readonly (readonly [string, number])[] = [
  ["nose", 0.026],
  ["left eye", 0.025],
  ["right eye", 0.025],
  ["left ear", 0.035],
  ["right ear", 0.035],
  ["left shoulder", 0.079],
  ["right shoulder", 0.079],
  ["left elbow", 0.072],
  ["right elbow", 0.072],
  ["left wrist", 0.062],
  ["right wrist", 0.062],
  ["left hip", 0.107],
  ["right hip", 0.107],
  ["left knee", 0.087],
  ["right knee", 0.087],
  ["left ankle", 0.089],
  ["right ankle", 0.089],
];
/** A keypoint of the server counts from this confidence (`SURE_CONFIDENCE`). */
const SURE = 0.3;
/** Below this no two people are taken for the same (`SAME_PERSON_OKS`), the loosest threshold of COCO's AP. */
export const SAME_PERSON = 0.5;
/** From this on COCO's stricter AP75 takes two poses for alike. */
export const ALIKE = 0.75;
/** Comparisons that are remembered: half a minute at two a second. */
export const KEPT = 60;
/** Fewer say nothing. */
export const ENOUGH = 5;
/** Of a server's model at least so many keypoints have to be among COCO's. */
const LEAST_JOINTS = 5;

/** A keypoint that both have: COCO's name and sigma, its place in the preview's 33 and in the server's. */
export interface Joint {
  readonly name: string;
  readonly sigma: number;
  readonly preview: number;
  readonly server: number;
}

/** The keypoints that the preview and a model of the server have in common; none where these are too few. */
export function jointsInCommon(serverNames: readonly string[]): readonly Joint[] {
  const there = serverNames.map((name) => name.toLowerCase().replaceAll("_", " "));
  const found = COCO.map(([name, sigma]) => ({
    name,
    sigma,
    preview: (KEYPOINTS as readonly string[]).indexOf(name),
    server: there.indexOf(name),
  })).filter(({ server }) => server >= 0);
  return found.length < LEAST_JOINTS ? [] : found;
}

export interface Compared {
  readonly oks: number;
  /** Each joint's share of it, in the order of the joints; undefined where the server is not sure of it. */
  readonly joints: readonly (number | undefined)[];
}

/**
 * The preview's person and one of the server's, in one frame.
 *
 * @param preview `(33, 4)`, in px of the same picture as the server's.
 */
export function compare(joints: readonly Joint[], preview: Float32Array, person: Person): Compared {
  const [left, top, right, bottom] = person.box;
  const areaPx2 = Math.max(0, right - left) * Math.max(0, bottom - top);
  const all = joints.map(({ sigma, preview: here, server }) => {
    const point = person.points[server] ?? { x: Number.NaN, y: Number.NaN, confidence: 0 };
    const dx = (preview[here * PER_KEYPOINT] ?? 0) - point.x;
    const dy = (preview[here * PER_KEYPOINT + 1] ?? 0) - point.y;
    const alike = Math.exp(-(dx * dx + dy * dy) / (2 * sigma) ** 2 / (areaPx2 + Number.EPSILON) / 2);
    return { alike, sure: point.confidence >= SURE };
  });
  const anySure = all.some(({ sure }) => sure);
  const counted = all.map(({ alike, sure }) => (sure || !anySure ? alike : undefined));
  const known = counted.filter((each) => each !== undefined);
  return { oks: known.reduce((sum, each) => sum + each, 0) / Math.max(1, known.length), joints: counted };
}

/** What a comparison of one frame came to. */
export type Outcome =
  | { readonly kind: "both"; readonly oks: number; readonly joints: readonly (number | undefined)[] }
  | { readonly kind: "missed" | "alone" | "nobody" };

export interface Seen {
  readonly atMs: number;
  readonly outcome: Outcome;
}

export type Verdict = "alike" | "roughly" | "apart";

export interface Agreement {
  readonly seen: readonly Seen[];
  /** Frames in which one of both saw somebody. */
  readonly frames: number;
  /** Median over the frames in which the server saw whom the preview follows; where that saw nobody it is 0. */
  readonly oks: number | undefined;
  /** Frames in which the preview saw nobody, and the server did. */
  readonly missed: number;
  /** Frames in which the preview followed somebody whom the server did not find. */
  readonly alone: number;
  readonly joints: readonly { readonly name: string; readonly alike: number | undefined }[];
  /** Undefined until enough frames were compared. */
  readonly verdict: Verdict | undefined;
}

export class AgreementMeter {
  private joints: readonly Joint[] = [];
  private seen: Seen[] = [];

  /** Compare with a model of these keypoints from now on. Returns whether that is possible. */
  begin(serverNames: readonly string[]): boolean {
    const joints = jointsInCommon(serverNames);
    if (joints.map(({ server }) => server).join() !== this.joints.map(({ server }) => server).join()) {
      this.seen = [];
    }
    this.joints = joints;
    return joints.length > 0;
  }

  /** One frame: what the preview found in it, and whom the server found. */
  add(atMs: number, preview: Float32Array | undefined, people: readonly Person[]): void {
    this.seen.push({ atMs, outcome: this.outcome(preview, people) });
    if (this.seen.length > KEPT) {
      this.seen.shift();
    }
  }

  clear(): void {
    this.seen = [];
  }

  now(): Agreement {
    const seen = this.seen.filter(({ outcome }) => outcome.kind !== "nobody");
    const both = seen.flatMap(({ outcome }) => (outcome.kind === "both" ? [outcome] : []));
    const known = seen.filter(({ outcome }) => outcome.kind !== "alone").map(({ outcome }) => oksOf(outcome));
    const oks = known.length ? quantile(known, 0.5) : undefined;
    const alone = seen.length - known.length;
    return {
      seen: [...this.seen],
      frames: seen.length,
      oks,
      missed: seen.filter(({ outcome }) => outcome.kind === "missed").length,
      alone,
      joints: this.joints.map(({ name }, index) => ({ name, alike: mean(both.map(({ joints }) => joints[index])) })),
      verdict: seen.length < ENOUGH ? undefined : verdictOf(alone > seen.length / 2 ? 0 : (oks ?? 0)),
    };
  }

  private outcome(preview: Float32Array | undefined, people: readonly Person[]): Outcome {
    if (!preview) {
      return { kind: people.length ? "missed" : "nobody" };
    }
    const compared = people
      .filter((person) => areTogether(this.joints, preview, person))
      .map((person) => compare(this.joints, preview, person));
    const nearest = compared.reduce<Compared | undefined>(
      (one, other) => (one && one.oks >= other.oks ? one : other),
      undefined,
    );
    return nearest ? { kind: "both", ...nearest } : { kind: "alone" };
  }
}

/** Whether the preview's joints lie where the server's person is, so that both may mean the same one. */
function areTogether(joints: readonly Joint[], preview: Float32Array, { box }: Person): boolean {
  const xs = joints.map((joint) => preview[joint.preview * PER_KEYPOINT] ?? 0);
  const ys = joints.map((joint) => preview[joint.preview * PER_KEYPOINT + 1] ?? 0);
  const [x, y] = [quantile(xs, 0.5), quantile(ys, 0.5)];
  const [left, top, right, bottom] = box;
  return x >= left && x <= right && y >= top && y <= bottom;
}

export function oksOf(outcome: Outcome): number {
  return outcome.kind === "both" ? outcome.oks : 0;
}

export function verdictOf(alike: number): Verdict {
  return alike >= ALIKE ? "alike" : alike >= SAME_PERSON ? "roughly" : "apart";
}

function mean(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((each) => each !== undefined);
  return known.length ? known.reduce((sum, each) => sum + each, 0) / known.length : undefined;
}
