import assert from "node:assert/strict";
import { test } from "node:test";
import { endOf, lengthOf, marked } from "../src/player/cut.ts";
import type { FrameTable } from "../src/player/frame_table.ts";
import { stemOf } from "../src/save_file.ts";

const TIMES = [0.5, 0.6, 0.9, 1.0];
const table = { frames: TIMES.length, timeOf: (frame: number) => TIMES[frame] } as FrameTable;

test("an end that would be before the beginning is forgotten, and the other way round", () => {
  assert.deepEqual(marked({}, "first", 5), { first: 5 });
  assert.deepEqual(marked({ first: 5 }, "last", 9), { first: 5, last: 9 });
  assert.deepEqual(marked({ first: 5 }, "last", 5), { first: 5, last: 5 });
  assert.deepEqual(marked({ first: 5, last: 9 }, "first", 10), { first: 10 });
  assert.deepEqual(marked({ first: 5, last: 9 }, "last", 4), { last: 4 });
  assert.deepEqual(marked({ first: 5 }, "last", undefined), { first: 5 });
});

test("a clip lasts until the frame after it", () => {
  assert.equal(lengthOf({ first: 0 }, table), undefined);
  assert.equal(lengthOf({ first: 0, last: 1 }, table)?.toFixed(3), "0.400");
  assert.equal(endOf(3, table).toFixed(3), "1.100");
});

test("a file is named after the video, with nothing that a file system refuses", () => {
  assert.deepEqual(["a sprint.mp4", "5:3.MOV", "plain", ".mp4"].map(stemOf), ["a sprint", "5_3", "plain", "video"]);
});
