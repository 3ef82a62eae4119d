import assert from "node:assert/strict";
import { test } from "node:test";
import { inClock } from "../src/pages/video/clock_text.ts";
import { anglesOf } from "../src/player/angles.ts";
import { Follower, intersectionOverUnion } from "../src/player/follow.ts";
import { drawPeople, OTHERS, PERSON, personAt } from "../src/player/overlay.ts";
import type { Person } from "../src/player/pose_segment.ts";

function person(box: Person["box"], points: readonly (readonly [number, number, number])[] = []): Person {
  return { score: 1, box, points: points.map(([x, y, confidence]) => ({ x, y, confidence })) };
}

test("a person is followed by where they were, whatever their rank", () => {
  const follower = new Follower();
  const [left, right] = [person([0, 0, 10, 20]), person([50, 0, 60, 20])];
  assert.equal(follower.find([left, right]), undefined);
  follower.follow(right);
  const moved = person([52, 0, 62, 20]);
  assert.equal(follower.find([moved, left]), moved);
  assert.equal(follower.find([left]), undefined);
  const back = person([53, 1, 63, 21]);
  assert.equal(follower.find([left, back]), back);
});

test("overlap is 1 for the same box and 0 for boxes apart", () => {
  assert.equal(intersectionOverUnion([0, 0, 2, 2], [0, 0, 2, 2]), 1);
  assert.equal(intersectionOverUnion([0, 0, 2, 2], [2, 0, 4, 2]), 0);
  assert.equal(intersectionOverUnion([0, 0, 2, 2], [1, 0, 3, 2]), 2 / 6);
});

test("of people that overlap, a click takes the one whose middle is nearer", () => {
  const [wide, narrow] = [person([0, 0, 100, 100]), person([60, 40, 80, 60])];
  assert.equal(personAt([wide, narrow], 71, 51), narrow);
  assert.equal(personAt([wide, narrow], 20, 50), wide);
  assert.equal(personAt([wide, narrow], 200, 50), undefined);
});

/** The colours in which people are drawn, by where they stand. */
function coloursOf(
  people: readonly Person[],
  followed: Person | undefined,
  hideOthers = false,
): Record<number, string> {
  const drawn: Record<number, string> = {};
  const canvas = { width: 100, height: 100, clientWidth: 100 };
  const nothing = () => undefined;
  const context = { canvas, fillStyle: "", beginPath: nothing, stroke: nothing, fill: nothing, setLineDash: nothing };
  Object.assign(context, { strokeRect: nothing, arc: (x: number) => Object.assign(drawn, { [x]: context.fillStyle }) });
  const style = {
    detail: "joints",
    skeleton: [],
    scale: 1,
    following: followed !== undefined,
    pointed: undefined,
  } as const;
  drawPeople(context as unknown as CanvasRenderingContext2D, people, { ...style, followed, hideOthers });
  return drawn;
}

test("a colour tells who is followed and nothing else: not the rank, which changes from picture to picture", () => {
  const [left, right] = [person([0, 0, 10, 20], [[5, 10, 1]]), person([50, 0, 60, 20], [[55, 10, 1]])];
  for (const people of [
    [left, right],
    [right, left],
  ]) {
    assert.deepEqual(coloursOf(people, undefined), { 5: PERSON, 55: PERSON });
    assert.deepEqual(coloursOf(people, right), { 5: OTHERS, 55: PERSON });
    assert.deepEqual(coloursOf(people, right, true), { 55: PERSON });
  }
});

test("an angle is that between the limbs, and unknown where a joint is uncertain", () => {
  const names = ["left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"];
  const bent = person(
    [0, 0, 1, 1],
    [
      [0, 0, 1],
      [0, 10, 1],
      [10, 10, 1],
      [5, 0, 1],
      [5, 10, 1],
      [5, 20, 0.1],
    ],
  );
  const [left, right] = anglesOf(bent, names);
  assert.deepEqual([left?.joint, left?.side, Math.round(left?.degrees ?? 0)], ["knee", "left", 90]);
  assert.deepEqual([right?.side, right?.degrees], ["right", undefined]);
});

test("times are those of the container, to the millisecond", () => {
  assert.deepEqual([0, 0.5, 61.0335, 3723.4, -0.04].map(inClock), [
    "0:00.000",
    "0:00.500",
    "1:01.034",
    "1:02:03.400",
    "-0:00.040",
  ]);
});
