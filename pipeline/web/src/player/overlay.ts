/** Draws people onto the picture that they were found in. */

import type { Marks } from "./follow.ts";
import type { Person } from "./pose_segment.ts";

/**
 * Of everybody, and of who is followed; and of the others then. Colours tell no more, for people are not told apart from
 * one picture to the next. The colour-blind can distinguish them (Okabe and Ito, 2008).
 */
export const PERSON = "#e69f00";
export const OTHERS = "#56b4e9";
/** Joints less certain than this are not drawn. */
export const MIN_CONFIDENCE = 0.2;

/** The longer side of what is drawn, in pixels: enough for sharp lines on small videos, bounded for large ones. */
const CANVAS_PX = [960, 1920] as const;

export type Detail = "skeletons" | "joints" | "nothing";

export interface OverlayStyle extends Marks {
  readonly detail: Detail;
  readonly skeleton: readonly (readonly [number, number])[];
  /** Canvas pixels a pixel of the video. */
  readonly scale: number;
  readonly hideOthers: boolean;
}

/** Gives a canvas the shape of a video, in which it then is drawn. */
export function prepare(canvas: HTMLCanvasElement, video: { width: number; height: number }): CanvasRenderingContext2D {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) {
    throw new Error("this browser draws no pictures");
  }
  const longest = Math.max(video.width, video.height);
  const scale = Math.max(1, CANVAS_PX[0] / longest) * Math.min(1, CANVAS_PX[1] / longest);
  canvas.width = Math.round(video.width * scale);
  canvas.height = Math.round(video.height * scale);
  return context;
}

export function drawPeople(context: CanvasRenderingContext2D, people: readonly Person[], style: OverlayStyle): void {
  if (style.detail === "nothing") {
    return;
  }
  const width = lineWidth(context.canvas);
  context.lineCap = "round";
  for (const person of people) {
    const isOther = style.following && person !== style.followed;
    if (isOther && style.hideOthers) {
      continue;
    }
    const colour = isOther ? OTHERS : PERSON;
    context.globalAlpha = isOther ? 0.5 : 1;
    drawPerson(context, person, colour, person === style.followed ? 1.6 * width : width, style);
    context.globalAlpha = 1;
    if (person === style.followed || person === style.pointed) {
      drawBox(context, person, colour, width, style.scale);
    }
  }
}

/** Two pixels and a bit of the page, however large the canvas behind it is. */
function lineWidth({ width, height, clientWidth }: HTMLCanvasElement): number {
  const wanted = clientWidth > 0 ? (2.2 * width) / clientWidth : 2;
  return Math.min(Math.max(2, wanted), Math.max(width, height) / 100);
}

function drawPerson(
  context: CanvasRenderingContext2D,
  person: Person,
  colour: string,
  width: number,
  { skeleton, scale, detail }: OverlayStyle,
): void {
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = width;
  if (detail === "skeletons") {
    context.beginPath();
    for (const [a, b] of skeleton) {
      const [from, to] = [person.points[a], person.points[b]];
      if (from && to && from.confidence >= MIN_CONFIDENCE && to.confidence >= MIN_CONFIDENCE) {
        context.moveTo(from.x * scale, from.y * scale);
        context.lineTo(to.x * scale, to.y * scale);
      }
    }
    context.stroke();
  }
  for (const { x, y, confidence } of person.points) {
    if (confidence >= MIN_CONFIDENCE) {
      context.beginPath();
      context.arc(x * scale, y * scale, 1.5 * width, 0, 2 * Math.PI);
      context.fill();
    }
  }
}

function drawBox(
  context: CanvasRenderingContext2D,
  { box: [left, top, right, bottom] }: Person,
  colour: string,
  width: number,
  scale: number,
): void {
  context.strokeStyle = colour;
  context.lineWidth = width / 2;
  context.setLineDash([4 * width, 4 * width]);
  context.strokeRect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
  context.setLineDash([]);
}

/** The person at a place of the picture: of those whose box is there, the one whose middle is nearest. */
export function personAt(people: readonly Person[], x: number, y: number): Person | undefined {
  const near = (person: Person) => {
    const [left, top, right, bottom] = person.box;
    return Math.hypot((left + right) / 2 - x, (top + bottom) / 2 - y);
  };
  return people
    .filter(({ box: [left, top, right, bottom] }) => x >= left && x <= right && y >= top && y <= bottom)
    .sort((a, b) => near(a) - near(b))[0];
}
