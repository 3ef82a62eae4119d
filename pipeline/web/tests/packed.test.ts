/** The decoder against bytes that the server's own encoder wrote (tests/unit/core/test_bytes_for_pages.py). */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { FrameTable } from "../src/player/frame_table.ts";
import { PoseSegment } from "../src/player/pose_segment.ts";

const DATA = new URL("./data/", import.meta.url);

async function bytes(name: string): Promise<ArrayBuffer> {
  const file = await readFile(new URL(name, DATA));
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
}

async function json(name: string) {
  return JSON.parse(await readFile(new URL(name, DATA), "utf8"));
}

test("every pose of a segment is read as it was written", async () => {
  const segment = new PoseSegment(await bytes("segment.bin"));
  const expected = await json("segment.json");
  const { first_frame, frames } = segment.header;
  assert.equal(frames, expected.states.length);
  for (let frame = 0; frame < frames; frame++) {
    const read = segment.frame(first_frame + frame);
    const state = expected.states[frame];
    if (state === 1) {
      assert.deepEqual(read, { state: "to come" });
    } else if (state > 1) {
      assert.deepEqual(read, { state: "missing", reason: expected.reasons[state - 2] });
    } else {
      assert.equal(read.state, "done");
      const people = (read.state === "done" ? read.people : []).map(({ score, box, points }) => ({
        score,
        box: [...box],
        points: points.map(({ x, y, confidence }) => [x, y, confidence]),
      }));
      assert.deepEqual(people, expected.people[frame]);
    }
  }
});

for (const name of ["table", "wide_table"]) {
  test(`the times of ${name} are read as they were written`, async () => {
    const table = new FrameTable(await bytes(`${name}.bin`));
    const expected = await json(`${name}.json`);
    assert.deepEqual([...table.times], expected.times);
    assert.deepEqual(table.header.segments, expected.segments);
  });
}

test("a frame is found by its time alone, up to the rounding of browsers, and no other is taken for it", async () => {
  const table = new FrameTable(await bytes("table.bin"));
  for (let frame = 0; frame < table.frames; frame++) {
    const time = table.timeOf(frame);
    assert.equal(table.find(time), frame);
    assert.equal(table.find(Math.round(time * 1e6) / 1e6), frame);
    assert.equal(table.find(time + 0.001), undefined);
    assert.equal(table.find(time - 0.001), undefined);
    assert.equal(table.shownAt(time), frame);
    assert.equal(table.shownAt(table.middleOf(frame)), frame);
  }
  assert.equal(table.find(0), undefined);
  assert.equal(table.shownAt(-5), 0);
  assert.equal(table.shownAt(1e9), table.frames - 1);
});

test("each frame is in the segment that begins before it", async () => {
  const table = new FrameTable(await bytes("table.bin"));
  assert.deepEqual(table.header.segments, [0, 6]);
  assert.deepEqual(
    [...table.times].map((_, frame) => table.segmentOf(frame)),
    [0, 0, 0, 0, 0, 0, 1],
  );
});

test("an answer that is something else is refused", async () => {
  const segment = await bytes("segment.bin");
  assert.throws(() => new FrameTable(segment), /PLPS where PLFT/);
  assert.throws(() => new PoseSegment(segment.slice(0, segment.byteLength - 1)), /cut off/);
});
