/** Draws what the server found: on its own frame in one pass, or as a layer that cannot be taken for the preview's. */

import { drawSkeleton } from "../camera/skeleton.ts";
import { type Detail, drawPeople, MIN_CONFIDENCE } from "../player/overlay.ts";
import type { Person } from "../player/pose_segment.ts";
import type { Held } from "./connection.ts";

export type Skeleton = readonly (readonly [number, number])[];

/** Larger pictures than a screen shows only take longer to draw. */
const LONGEST_SIDE = 1280;
const LAYER = "#ff5fd2";
const EDGE = "rgb(0 0 0 / 60%)";

function fit(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  longest: number,
): CanvasRenderingContext2D | null {
  const scale = Math.min(1, longest / Math.max(width, height));
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) {
    [canvas.width, canvas.height] = [wide, high];
  }
  return canvas.getContext("2d");
}

/** The frame with everybody who was found in it: picture and skeletons at once. */
export function drawResult(
  canvas: HTMLCanvasElement,
  held: Held,
  people: readonly Person[],
  skeleton: Skeleton,
  detail: Detail,
): void {
  const context = fit(canvas, held.width, held.height, LONGEST_SIDE);
  if (context) {
    context.drawImage(held.frame, 0, 0, canvas.width, canvas.height);
    const scale = canvas.width / held.sentWidth;
    const nobody = { following: false, followed: undefined, pointed: undefined, hideOthers: false };
    drawPeople(context, people, { detail, skeleton, scale, ...nobody });
  }
}

/** The server's people alone, dashed, for a canvas over the preview's picture. */
export function drawLayer(canvas: HTMLCanvasElement, held: Held, people: readonly Person[], skeleton: Skeleton): void {
  const context = fit(canvas, held.width, held.height, LONGEST_SIDE);
  if (context) {
    context.clearRect(0, 0, canvas.width, canvas.height);
    drawDashed(context, people, skeleton, canvas.width / held.sentWidth);
  }
}

/** One frame with both: the preview's person as it always is, the server's people dashed. */
export function drawBoth(canvas: HTMLCanvasElement, held: Held, people: readonly Person[], skeleton: Skeleton): void {
  const context = fit(canvas, held.width, held.height, 640);
  if (context) {
    context.drawImage(held.frame, 0, 0, canvas.width, canvas.height);
    if (held.preview) {
      drawSkeleton(context, held.preview, canvas.width / held.width, Math.max(canvas.width, canvas.height) / 280);
    }
    drawDashed(context, people, skeleton, canvas.width / held.sentWidth);
  }
}

export function clear(canvas: HTMLCanvasElement | null): void {
  canvas?.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
}

function drawDashed(
  context: CanvasRenderingContext2D,
  people: readonly Person[],
  skeleton: Skeleton,
  scale: number,
): void {
  const thick = Math.max(2, Math.max(context.canvas.width, context.canvas.height) / 320);
  const joints = new Path2D();
  const limbs = new Path2D();
  for (const { points } of people) {
    for (const [one, other] of skeleton) {
      const [from, to] = [points[one], points[other]];
      if (from && to && from.confidence >= MIN_CONFIDENCE && to.confidence >= MIN_CONFIDENCE) {
        limbs.moveTo(from.x * scale, from.y * scale);
        limbs.lineTo(to.x * scale, to.y * scale);
      }
    }
    for (const { x, y } of points.filter(({ confidence }) => confidence >= MIN_CONFIDENCE)) {
      joints.moveTo(x * scale + 2 * thick, y * scale);
      joints.arc(x * scale, y * scale, 2 * thick, 0, 2 * Math.PI);
    }
  }
  context.save();
  for (const [colour, width] of [
    [EDGE, 2.2 * thick],
    [LAYER, thick],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.setLineDash([3 * thick, 2.5 * thick]);
    context.stroke(limbs);
    context.setLineDash([]);
    context.stroke(joints);
  }
  context.restore();
}
