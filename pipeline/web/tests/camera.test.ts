import assert from "node:assert/strict";
import { test } from "node:test";
import { FastestDelay } from "../src/camera/capture_time.ts";
import { type Grade, graded, Lately, Settled } from "../src/camera/figures/calm.ts";
import { framingOf, tallInModel } from "../src/camera/figures/framing.ts";
import { greyOf } from "../src/camera/figures/grey.ts";
import { rollOf } from "../src/camera/figures/level.ts";
import { lightOf } from "../src/camera/figures/light.ts";
import { rateOf } from "../src/camera/figures/rate.ts";
import { bitRateFor, minutesFor } from "../src/camera/figures/room.ts";
import { sharpnessOf } from "../src/camera/figures/sharpness.ts";
import { shiftBetween } from "../src/camera/figures/shift.ts";
import { KEPT, quantile, StageTimes } from "../src/camera/stage_times.ts";
import { blurred, paint, scenery, standing } from "./camera_pictures.ts";

const near = (value: number | undefined, wanted: number, by: number) =>
  assert.ok(value !== undefined && Math.abs(value - wanted) <= by, `${value} is not ${wanted} ± ${by}`);

test("grey is what the eye sees of each colour", () => {
  const colours = new Uint8ClampedArray([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255]);
  assert.deepEqual([...greyOf(colours, 4, 1).data], [54, 182, 18, 255]);
});

test("light: the mean, the spread, and what is lost in black and white", () => {
  const ramp = lightOf(paint(256, 4, (x) => x));
  near(ramp.mean, 127.5, 0.01);
  near(ramp.contrast, 230, 1);
  near(ramp.black, 7 / 256, 0.001);
  near(ramp.white, 6 / 256, 0.001);
  const night = lightOf(paint(64, 36, (x, y) => 12 + (scenery(x, y) - 128) / 12));
  assert.ok(night.mean < 14 && night.contrast < 20, JSON.stringify(night));
  const glare = lightOf(paint(64, 36, (x) => (x < 16 ? 255 : 90)));
  near(glare.white, 0.25, 0.001);
  assert.deepEqual(lightOf(paint(8, 8, () => 100)), { mean: 100, contrast: 0, black: 0, white: 0 });
});

test("sharpness falls with each blur, does not follow contrast, and is unknown of a wall", () => {
  const sharp = paint(96, 96, (x, y) => (((x >> 4) + (y >> 4)) % 2 ? 200 : 40));
  const values = [sharp, blurred(sharp, 1), blurred(sharp, 2), blurred(sharp, 3)].map((each) => sharpnessOf(each) ?? 0);
  for (const [index, value] of values.slice(1).entries()) {
    assert.ok(value < 0.6 * (values[index] ?? 0), `${values}`);
  }
  const pale = paint(96, 96, (x, y) => (((x >> 4) + (y >> 4)) % 2 ? 140 : 100));
  near(sharpnessOf(pale), values[0] ?? 0, 0.02);
  assert.equal(sharpnessOf(paint(96, 96, () => 128)), undefined);
});

test("the shift of the whole picture is found to a tenth of a pixel, whatever one person does in it", () => {
  const still = paint(160, 90, scenery);
  for (const [dx, dy] of [
    [0, 0],
    [2, -1],
    [0.5, 0.25],
    [-3.4, 2.6],
  ] as const) {
    const moved = shiftBetween(
      still,
      paint(160, 90, (x, y) => scenery(x - dx, y - dy)),
    );
    near(moved?.x, dx / 160, 0.1 / 160);
    near(moved?.y, dy / 160, 0.1 / 160);
  }
  const person = (at: number) =>
    paint(160, 90, (x, y) => (Math.abs(x - at) < 12 && y > 10 ? 30 + 20 * Math.sin(y / 3) : scenery(x, y)));
  const walked = shiftBetween(person(60), person(65));
  near(walked?.x, 0, 0.1 / 160);
  near(walked?.y, 0, 0.1 / 160);
  const brighter = shiftBetween(
    still,
    paint(160, 90, (x, y) => scenery(x, y) + 12),
  );
  near(brighter?.x, 0, 0.02 / 160);
  const wall = paint(160, 90, () => 90);
  assert.equal(shiftBetween(wall, wall), undefined);
});

test("a person's height, and the edges that cut them off", () => {
  const whole = framingOf(standing(640, 200, 400), 1280, 720);
  near(whole?.tallPx, 428, 0.5);
  assert.deepEqual(whole?.edges, []);
  near(whole?.x, 640, 2);
  const at = (x: number, top: number, tall: number) => framingOf(standing(x, top, tall), 1280, 720)?.edges;
  assert.deepEqual(at(640, 340, 400), ["bottom"]);
  assert.deepEqual(at(640, 30, 400), ["top"], "the crown is above the eyes");
  assert.deepEqual(at(40, 200, 400), ["left"]);
  assert.deepEqual(at(1250, 200, 400), ["right"]);
  assert.deepEqual(at(640, 5, 712), ["top", "bottom"]);
  assert.equal(framingOf(undefined, 1280, 720), undefined);
  const unseen = standing(640, 200, 400);
  for (const index of [11, 12, 23, 24]) {
    unseen[4 * index + 3] = 0.1;
  }
  assert.equal(framingOf(unseen, 1280, 720), undefined);
});

test("legs below the picture count although they are not seen; legs behind a board do not", () => {
  const out = standing(640, 500, 400);
  const behind = standing(640, 200, 400);
  for (const keypoints of [out, behind]) {
    for (const index of [27, 28, 29, 30, 31, 32]) {
      keypoints[4 * index + 3] = 0.1;
    }
  }
  assert.deepEqual(framingOf(out, 1280, 720)?.edges, ["bottom"]);
  assert.deepEqual(framingOf(behind, 1280, 720)?.edges, []);
});

test("somebody who lies is as long as they are tall", () => {
  const upright = standing(400, 200, 400);
  const lying = new Float32Array(upright);
  for (let index = 0; index < 33; index++) {
    lying[4 * index] = upright[4 * index + 1] ?? 0;
    lying[4 * index + 1] = upright[4 * index] ?? 0;
  }
  near(framingOf(lying, 1280, 720)?.tallPx, framingOf(upright, 1280, 720)?.tallPx ?? 0, 0.5);
});

test("a picture is made smaller for the model, never larger", () => {
  assert.equal(tallInModel(400, 1280, 720, 640), 200);
  assert.equal(tallInModel(400, 720, 1280, 640), 200);
  assert.equal(tallInModel(200, 320, 240, 640), 200);
});

test("the frame rate comes from the frames' own times", () => {
  const steady = Array.from({ length: 120 }, (_, index) => 5000 + (index * 1000) / 30);
  near(rateOf(steady)?.fps, 30, 0.01);
  assert.equal(rateOf(steady)?.uneven, 0);
  const holes = steady.filter((_, index) => index % 10 !== 3);
  near(rateOf(holes)?.fps, 27, 0.3);
  near(rateOf(holes)?.uneven, 1 / 9, 0.02);
  near(rateOf([...steady.map((each) => each / 10), ...steady])?.fps, 30, 0.01);
  assert.equal(rateOf(steady.slice(0, 15)), undefined);
  near(rateOf([0, 900, 1800])?.fps, 1.1, 0.02);
  assert.equal(rateOf([]), undefined);
});

test("the horizon, however a phone is held", () => {
  near(rollOf(90, 0, 0), 0, 1e-6); // upright
  near(rollOf(60, 0, 0), 0, 1e-6); // looking down a little
  near(rollOf(0, -90, 90), 0, 1e-6); // on its left side
  near(rollOf(0, 90, 270), 0, 1e-6); // on its right side
  assert.equal(rollOf(0, 0, 0), undefined);
  assert.equal(rollOf(10, 5, 0), undefined);
  // Turned clockwise by 5 degrees as its user sees it: up is to the left of its upper edge.
  near(rollOf(85, 90, 0), 5, 1e-6);
  near(rollOf(85, -90, 0), -5, 1e-6);
});

test("how long a recording may become", () => {
  assert.equal(bitRateFor(1280, 720, 30), 4_147_200);
  near(minutesFor(1e9, 4_147_200), 32.15, 0.01);
});

test("a judgement changes when another has lasted, and not for a moment", () => {
  const settled = new Settled<string>(1000);
  const seen = [
    ["good", 0],
    ["bad", 100],
    ["good", 600],
    ["bad", 700],
    ["bad", 1600],
    ["bad", 1700],
    ["good", 1800],
  ] as const;
  assert.deepEqual(
    seen.map(([value, now]) => settled.see(value, now)),
    ["good", "good", "good", "good", "good", "bad", "bad"],
  );
});

test("numbers settle to the median of what was seen lately", () => {
  const lately = new Lately(1000);
  for (const [value, now] of [
    [5, 0],
    [100, 900],
    [7, 1200],
    [6, 1300],
  ] as const) {
    lately.add(value, now);
  }
  assert.equal(lately.median(1500), 7);
  assert.equal(lately.median(5000), undefined);
});

test("to become better a value must pass the bound by a tenth; to become worse it need not", () => {
  const run = (values: readonly number[], bounds: readonly [number, number]) => {
    let grade: Grade | undefined;
    return values.map((value) => (grade = graded(value, bounds, grade)));
  };
  assert.deepEqual(run([5, 11, 9.5, 8.9, 21, 19, 17.9, 5], [10, 20]), [0, 1, 1, 0, 2, 2, 1, 0]);
  assert.deepEqual(run([50, 29, 31, 34, 9, 10.5, 12], [30, 10]), [0, 1, 1, 0, 2, 2, 1]);
});

test("stage times: the last frames, median and 95th percentile by the nearest rank", () => {
  const times = new StageTimes();
  assert.equal(times.of("Process"), undefined);
  for (let ms = 1; ms <= KEPT + 50; ms++) {
    times.add("Process", ms);
  }
  assert.deepEqual(times.of("Process"), { medianMs: 100, p95Ms: 145, count: KEPT });
  assert.deepEqual([quantile([3], 0.5), quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0.95)], [3, 2, 4]);
});

test("a camera whose clock has another zero: how much later than the fastest each frame came", () => {
  const delay = new FastestDelay();
  assert.deepEqual(
    [
      [1000, 50],
      [1043, 83],
      [1066, 117],
      [1100, 150],
    ].map(([now = 0, at = 0]) => delay.delayMs(now, at)),
    [0, 10, 0, 1],
  );
});
