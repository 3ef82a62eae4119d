/** The live page's parts, some against bytes of the server's own (tests/unit/core/test_live_bytes_for_pages.py). */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { AgreementMeter, COCO, compare, jointsInCommon, verdictOf } from "../src/live/agreement.ts";
import { Counts, disagreements } from "../src/live/counts.ts";
import { HeldFrames } from "../src/live/held_frames.ts";
import { backOffMs, hybridEveryMs, nextSendMs } from "../src/live/pace.ts";
import { frameBytes, helloText, readResult, readText } from "../src/live/protocol.ts";
import { ServerClock } from "../src/live/server_clock.ts";
import { FULL_STAGES, stageTimes } from "../src/live/stages.ts";

const told = JSON.parse(await readFile(new URL("./live_data/live.json", import.meta.url), "utf8"));
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));

test("frames are written as the server reads them", () => {
  for (const { bytes, data, ...frame } of told.frames) {
    assert.deepEqual(frameBytes({ ...frame, data: bytesOf(data) }), bytesOf(bytes));
  }
  assert.deepEqual(JSON.parse(helloText(told.hello)), told.hello_text);
});

test("results are read as the server wrote them", () => {
  for (const { bytes, result } of told.results) {
    assert.deepEqual(JSON.parse(JSON.stringify(readResult(bytesOf(bytes).buffer))), result);
  }
  const { bytes } = told.results.at(-1);
  for (const wrong of [bytesOf(bytes).slice(0, 20), bytesOf(bytes).with(0, 1), bytesOf(bytes).with(1, 3)]) {
    assert.throws(() => readResult(wrong.buffer), RangeError);
  }
  const people = told.results.find((each: { result: { people: unknown[] } }) => each.result.people.length > 0);
  assert.throws(() => readResult(bytesOf(people.bytes).slice(0, -1).buffer), /length of its people/);
});

test("texts of types that are not known are left out", () => {
  assert.equal(readText('{"type":"keyframe","reason":"x"}')?.type, "keyframe");
  assert.equal(readText('{"type":"starting","reason":"x"}')?.type, "starting");
  assert.equal(readText('{"type":"later"}'), undefined);
  assert.equal(readText("[]"), undefined);
});

test("OKS and the share of each joint are those of the server's own code", () => {
  for (const { keypoints, preview, people, oks } of told.agreement) {
    const joints = jointsInCommon(keypoints);
    for (const [index, person] of people.entries()) {
      const points = person.points.map(([x, y, confidence]: number[]) => ({ x, y, confidence }));
      const found = compare(joints, Float32Array.from(preview), { score: 1, box: person.box, points });
      assert.ok(Math.abs(found.oks - oks[index]) < 1e-5, `${found.oks} is not ${oks[index]}`);
    }
  }
  assert.deepEqual(
    COCO.map(([, sigma]) => sigma),
    told.sigmas,
  );
});

test("the meter tells whom the preview missed, whom it alone saw, and a verdict after enough frames", () => {
  const [{ keypoints, preview, people }] = told.agreement;
  const seen = people.map((person: { box: number[]; points: number[][] }) => ({
    score: 1,
    box: person.box,
    points: person.points.map(([x, y, confidence]) => ({ x, y, confidence })),
  }));
  const meter = new AgreementMeter();
  assert.equal(meter.begin(["wrist", "thumb"]), false);
  assert.equal(meter.begin(keypoints), true);
  meter.add(0, undefined, []);
  assert.deepEqual([meter.now().frames, meter.now().verdict], [0, undefined]);
  for (let at = 1; at <= 3; at++) {
    meter.add(at, Float32Array.from(preview), seen);
  }
  assert.equal(meter.now().verdict, undefined);
  meter.add(4, undefined, seen);
  meter.add(5, Float32Array.from(preview), []);
  const now = meter.now();
  assert.deepEqual([now.frames, now.missed, now.alone], [5, 1, 1]);
  assert.equal(now.oks, Math.max(...told.agreement[0].oks.map((oks: number) => compareWith(meter, oks))));
  assert.equal(now.verdict, verdictOf(now.oks ?? 0));
  for (let at = 6; at <= 11; at++) {
    meter.add(
      at,
      Float32Array.from(preview).map((value) => value + 900),
      seen,
    );
  }
  assert.deepEqual([meter.now().oks, meter.now().alone, meter.now().verdict], [now.oks, 7, "apart"]);
  meter.begin(keypoints.slice(0, 12));
  assert.equal(meter.now().seen.length, 0, "other joints are another measure");
});

/** The value itself where the meter has it, for it computes in another order than the server. */
function compareWith(meter: AgreementMeter, oks: number): number {
  const own = meter.now().oks ?? Number.NaN;
  return Math.abs(own - oks) < 1e-5 ? own : oks;
}

test("both sides' counts are compared one by one", () => {
  const counts = new Counts();
  for (let at = 0; at < 5; at++) {
    counts.capture();
  }
  for (const fate of ["analysed", "superseded", "analysed"] as const) {
    counts.send();
    counts.settle(fate);
  }
  counts.send();
  const here = counts.now();
  assert.deepEqual(here, { captured: 5, dropped: 1, sent: 4, analysed: 2, superseded: 1, failed: 0, open: 1 });
  const server = { type: "summary", received: 4, analysed: 2, superseded: 1, failed: 1 } as const;
  assert.deepEqual(disagreements(here, server), ["failed: 0 here, 1 there"]);
  counts.settle("failed");
  assert.deepEqual(disagreements(counts.now(), server), []);
});

test("a frame is held for its own result alone, and never more than may be under way", () => {
  const closed: number[] = [];
  const one = (id: number) => ({ frame: { close: () => closed.push(id) }, id });
  const held = new HeldFrames<ReturnType<typeof one>>(2);
  for (const id of [7, 8, 9]) {
    held.hold(id, one(id));
  }
  assert.deepEqual([closed, held.size], [[7], 2]);
  assert.equal(held.take(7), undefined);
  assert.equal(held.take(9)?.id, 9);
  assert.equal(held.take(9), undefined);
  held.clear();
  assert.deepEqual([closed, held.size], [[7, 8], 0]);
});

test("the server's clock is that of the quickest exchange, and stages are told by it", () => {
  const clock = new ServerClock();
  assert.equal(clock.here(1), undefined);
  clock.add(100, 5300, 5301, 401); // a slow way there: 100 ms off
  clock.add(500, 5610, 5612, 522); // 10 ms each way
  clock.add(600, 5900, 5900, 1000);
  assert.equal(clock.here(5610), 510);
  assert.equal(clock.tripMs, 20);
  const sent = { capturedAtMs: 700, captureMs: 2, encodeMs: 3, sentAtMs: 710 };
  const base = { id: 1, fate: "analysed", capturedAtMs: 700, batch: 1, people: [], reason: "" } as const;
  const result = { ...base, receivedAtMs: 5825, sentAtMs: 5860, decodeMs: 1, waitMs: 4, processMs: 30 };
  assert.deepEqual(Object.fromEntries(stageTimes(sent, result, 775, clock)), {
    Capture: 2,
    Encode: 3,
    Upload: 15,
    Decode: 1,
    Wait: 4,
    Process: 30,
    Download: 15,
  });
  for (let at = 0; at < 8; at++) {
    clock.add(2000, 7000, 7000, 2100);
  }
  assert.equal(clock.tripMs, 100, "clocks drift: an old exchange is forgotten");
  assert.equal(
    FULL_STAGES.reduce((sum, { budgetMs }) => sum + budgetMs, 0),
    78,
  );
});

test("hybrid asks more often where results come fast, and as seldom as the server wants", () => {
  assert.equal(hybridEveryMs(500, undefined), 500);
  assert.equal(hybridEveryMs(500, 100), 400);
  assert.equal(hybridEveryMs(500, 60), 240);
  assert.equal(hybridEveryMs(500, 10), 200);
  assert.equal(hybridEveryMs(250, 10), 200);
  assert.equal(hybridEveryMs(500, 700), 2800);
  assert.equal(hybridEveryMs(500, 9000), 5000);
  assert.equal(hybridEveryMs(2000, 10), 2000);
});

test("a second frame is sent so that it arrives when the device has done with the first", () => {
  assert.equal(nextSendMs(0, 100, 150, 10), 230, "it began when it was there: at 110, and is done at 260");
  assert.equal(nextSendMs(170, 100, 150, 10), 290, "it began when the one before was done: at 170");
  assert.ok(nextSendMs(0, 100, 12, 20) < 120, "a quick device is never waited for");
});

test("tries to connect come less and less often, and not at once from all", () => {
  const longest = [0, 1, 2, 9].map((failed) => backOffMs(failed, 1));
  assert.deepEqual(longest, [500, 1000, 2000, 15_000]);
  assert.equal(backOffMs(2, 0), 1000);
});
