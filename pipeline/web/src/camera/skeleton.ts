/** The 33 keypoints of the preview's person: their names, which are joined, and how they are drawn. */

import { PER_KEYPOINT } from "./preview_messages.ts";

/** In MediaPipe's order. */
export const KEYPOINTS = [
  "nose",
  "left eye inner",
  "left eye",
  "left eye outer",
  "right eye inner",
  "right eye",
  "right eye outer",
  "left ear",
  "right ear",
  "mouth left",
  "mouth right",
  "left shoulder",
  "right shoulder",
  "left elbow",
  "right elbow",
  "left wrist",
  "right wrist",
  "left little finger",
  "right little finger",
  "left index finger",
  "right index finger",
  "left thumb",
  "right thumb",
  "left hip",
  "right hip",
  "left knee",
  "right knee",
  "left ankle",
  "right ankle",
  "left heel",
  "right heel",
  "left foot",
  "right foot",
] as const;

/** Limbs by the index of their ends. The face and fingers are left out: they say nothing of how a camera stands. */
export const LIMBS: readonly (readonly [number, number])[] = [
  [11, 12],
  [11, 13],
  [13, 15],
  [12, 14],
  [14, 16],
  [11, 23],
  [12, 24],
  [23, 24],
  [23, 25],
  [25, 27],
  [24, 26],
  [26, 28],
  [27, 29],
  [29, 31],
  [27, 31],
  [28, 30],
  [30, 32],
  [28, 32],
  [7, 0],
  [8, 0],
];

/** Below it MediaPipe guesses where a joint is that it does not see. */
export const VISIBLE = 0.5;

const LEFT = "#ff9f1c";
const RIGHT = "#2ec4ff";
const MIDDLE = "#f4f7f9";

type Pen = Pick<
  CanvasRenderingContext2D,
  "beginPath" | "moveTo" | "lineTo" | "stroke" | "arc" | "fill" | "strokeStyle" | "fillStyle" | "lineWidth" | "lineCap"
>;

/**
 * Draw a person.
 *
 * @param keypoints `(33, 4)`, in px of the frame.
 * @param scale from those to the canvas.
 * @param thick width of a limb's line, in px of the canvas.
 */
export function drawSkeleton(pen: Pen, keypoints: Float32Array, scale: number, thick: number): void {
  const at = (index: number) => ({
    x: scale * (keypoints[index * PER_KEYPOINT] ?? 0),
    y: scale * (keypoints[index * PER_KEYPOINT + 1] ?? 0),
    seen: (keypoints[index * PER_KEYPOINT + 3] ?? 0) >= VISIBLE,
  });
  const limbs = LIMBS.map(([one, other]) => ({ one, from: at(one), to: at(other), colour: colourOf(one, other) }));
  const shown = limbs.filter(({ from, to }) => from.seen && to.seen);
  pen.lineCap = "round";
  // A dark edge first, so that the lines are seen on snow and on shirts of their own colour.
  for (const edge of [true, false]) {
    pen.lineWidth = edge ? 2 * thick : thick;
    for (const { from, to, colour } of shown) {
      pen.strokeStyle = edge ? "rgb(0 0 0 / 55%)" : colour;
      pen.beginPath();
      pen.moveTo(from.x, from.y);
      pen.lineTo(to.x, to.y);
      pen.stroke();
    }
  }
  for (const index of new Set(LIMBS.flat())) {
    const { x, y, seen } = at(index);
    if (seen) {
      pen.fillStyle = colourOf(index, index);
      pen.beginPath();
      pen.arc(x, y, 1.3 * thick, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

/** The person's own left and right. */
function colourOf(one: number, other: number): string {
  const [first = "", second = ""] = [KEYPOINTS[one], KEYPOINTS[other]];
  for (const [side, colour] of [
    ["left", LEFT],
    ["right", RIGHT],
  ] as const) {
    if ((first.startsWith(side) || first === "nose") && (second.startsWith(side) || second === "nose")) {
      return first === "nose" && second === "nose" ? MIDDLE : colour;
    }
  }
  return MIDDLE;
}
