/** Where the preview's person is in the picture, and how large. */

import { PER_KEYPOINT } from "../preview_messages.ts";

export type Edge = "left" | "right" | "top" | "bottom";

export interface Framing {
  /** From the crown to the feet, or along a body that lies, in px of the frame. */
  readonly tallPx: number;
  /** The edges that cut them off, or that they nearly touch. */
  readonly edges: readonly Edge[];
  /** The person's middle, in px of the frame. */
  readonly x: number;
  readonly y: number;
}

/** So near to an edge, as a share of the picture's side, a step takes somebody out of it. */
const MARGIN = 0.03;
/** From the eyes to the crown, as a share of the length from the eyes to the feet: half a head of 7.5. */
const CROWN = 0.07;
/** Arms and hands. They are of the person, and do not make them taller. */
const ARMS = new Set([13, 14, 15, 16, 17, 18, 19, 20, 21, 22]);
/** What of a person must be seen anywhere to speak of one: shoulders and hips. */
const TRUNK = [11, 12, 23, 24];
const SEEN = 0.5;

/**
 * Undefined where nobody is. MediaPipe places joints outside the picture, too, which is how a cut-off leg is known.
 *
 * @param keypoints `(33, 4)`, in px of the frame.
 */
export function framingOf(keypoints: Float32Array | undefined, width: number, height: number): Framing | undefined {
  if (!keypoints) {
    return undefined;
  }
  const joints = Array.from({ length: keypoints.length / PER_KEYPOINT }, (_, index) => ({
    index,
    x: keypoints[index * PER_KEYPOINT] ?? 0,
    y: keypoints[index * PER_KEYPOINT + 1] ?? 0,
    seen: keypoints[index * PER_KEYPOINT + 3] ?? 0,
  }));
  if (TRUNK.filter((index) => (joints[index]?.seen ?? 0) >= SEEN).length < 2) {
    return undefined;
  }
  const body = joints.filter(({ index }) => !ARMS.has(index));
  const box = boxOf(body);
  const upright = box.bottom - box.top >= box.right - box.left;
  const long = upright ? box.bottom - box.top : box.right - box.left;
  // Hidden joints inside the picture are behind something; those outside it are cut off, seen or not.
  const all = boxOf(joints.filter(({ x, y, seen }) => seen >= SEEN || x < 0 || y < 0 || x > width || y > height));
  const crown = upright ? CROWN * long : 0;
  const edges: Edge[] = [];
  if (all.left < MARGIN * width) {
    edges.push("left");
  }
  if (all.right > (1 - MARGIN) * width) {
    edges.push("right");
  }
  if (Math.min(all.top, box.top - crown) < MARGIN * height) {
    edges.push("top");
  }
  if (all.bottom > (1 - MARGIN) * height) {
    edges.push("bottom");
  }
  return { tallPx: long * (1 + CROWN), edges, x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
}

function boxOf(points: readonly { readonly x: number; readonly y: number }[]) {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

/** How tall a person is once the picture was made to fit into the square that a model looks at. */
export function tallInModel(tallPx: number, width: number, height: number, modelPx: number): number {
  return (tallPx * Math.min(modelPx, Math.max(width, height))) / Math.max(width, height);
}
