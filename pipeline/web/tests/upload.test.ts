import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { parseTags } from "../src/tags.ts";
import { seemsVideo } from "../src/upload/dropped.ts";
import { contentDigest, sha256Hex, slowSha256 } from "../src/upload/sha256.ts";
import { formatBytes, formatDuration, Speed } from "../src/upload/speed.ts";
import { backoffMs, sleep, Turns } from "../src/upload/waiting.ts";

const never = new AbortController().signal;

test("the slow SHA-256 is the one that everybody computes, at every edge of a block", async () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 2 ** 20 + 3]) {
    const data = Uint8Array.from({ length }, (_, index) => (index * 7919) % 256);
    const expected = createHash("sha256").update(data).digest("hex");
    assert.equal(Buffer.from(await slowSha256(data)).toString("hex"), expected, `of ${length} bytes`);
    assert.equal(await sha256Hex(data.buffer), expected);
    assert.equal(contentDigest(expected), `sha-256=:${Buffer.from(expected, "hex").toString("base64")}:`);
  }
});

test("each wait is longer, none is longer than half a minute, and the server may ask for more", () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 20].map((failures) => backoffMs(failures, 0, () => 1));
  assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.equal(
    backoffMs(1, 0, () => 0),
    250,
  );
  assert.equal(backoffMs(1, 60_000), 60_000);
});

test("a wait ends when the network comes back, and when it is given up", async () => {
  const network = new EventTarget();
  for (const name of ["addEventListener", "removeEventListener"] as const) {
    Object.assign(globalThis, { [name]: network[name].bind(network) });
  }
  const waiting = sleep(60_000, never);
  network.dispatchEvent(new Event("online"));
  await waiting;
  const given = new AbortController();
  const other = sleep(60_000, given.signal);
  given.abort(new Error("no more"));
  await assert.rejects(other, /no more/);
});

test("turns are given by rank, and one that fails or is given up holds nobody back", async () => {
  const turns = new Turns(1);
  const order: string[] = [];
  let end: () => void = () => undefined;
  const first = turns.take(5, never, () => new Promise<void>((resolve) => (end = resolve)));
  await Promise.resolve(); // until it has begun
  const given = new AbortController();
  const late = turns.take(3, never, async () => order.push("late"));
  const early = assert.rejects(
    turns.take(1, never, () => {
      order.push("early");
      return Promise.reject(new Error("failed"));
    }),
    /failed/,
  );
  const gone = assert.rejects(
    turns.take(2, given.signal, async () => order.push("gone")),
    /given up/,
  );
  given.abort(new Error("given up"));
  await new Promise((resolve) => setTimeout(resolve)); // until the first has begun
  end();
  await first;
  await early;
  await gone;
  await late;
  assert.deepEqual(order, ["early", "late"]);
});

test("the speed is that of the last 20 s", () => {
  let now = 0;
  const speed = new Speed(() => now);
  assert.equal(speed.bytesPerS, undefined);
  for (now = 0; now <= 4000; now += 1000) {
    speed.add(500);
  }
  now = 4000;
  assert.equal(speed.bytesPerS, 500);
  now = 60_000;
  assert.equal(speed.bytesPerS, undefined);
});

test("sizes and times are short", () => {
  assert.deepEqual([12, 999, 1500, 2_500_000, 314_000_000, 12e9].map(formatBytes), [
    "12 bytes",
    "999 bytes",
    "1.5 kB",
    "2.5 MB",
    "314 MB",
    "12 GB",
  ]);
  assert.deepEqual([0.2, 59, 90, 3600, 7800].map(formatDuration), ["1 s", "59 s", "2 min", "1 h", "2 h 10 min"]);
});

test("tags are read as people write them", () => {
  assert.deepEqual(parseTags(" season=2026, match = a=b ,"), { season: "2026", match: "a=b" });
  assert.deepEqual(parseTags(""), {});
  assert.throws(() => parseTags("home"), /write key=value/);
});

test("videos are told from what else is in a folder", () => {
  const files = [
    { name: "a.MP4", type: "" },
    { name: "clip", type: "video/webm" },
    { name: "notes.txt", type: "text/plain" },
    { name: "._a.mp4", type: "video/mp4" },
  ];
  assert.deepEqual(files.map(seemsVideo), [true, true, false, false]);
});
