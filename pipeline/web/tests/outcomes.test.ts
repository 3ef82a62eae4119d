import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../src/api.ts";
import type { ChangesOut, VideoOut } from "../src/schema.ts";
import { Outcomes, type Source } from "../src/upload/outcomes.ts";

const video = (video_id: string, state: string) => ({ video_id, state }) as VideoOut;
const changes = (count: number, ...videos: VideoOut[]): ChangesOut => ({ videos, count, complete: true, next: "n" });

/** A team whose videos are in these states; `tell` is what the stream would say, while there is one. */
function team(states: Record<string, string | undefined>) {
  const asked: string[] = [];
  const heard: { tell: ((changes: ChangesOut) => void) | undefined; streams: number } = { tell: undefined, streams: 0 };
  const source: Source = {
    now: async () => changes(3),
    read: async (id) => {
      asked.push(id);
      const state = states[id];
      if (state === undefined) {
        throw new Problem(404, "urn:poseline:not-found", "gone");
      }
      return video(id, state);
    },
    follow: (_, tell) => {
      heard.tell = tell;
      heard.streams++;
      return () => {
        heard.tell = undefined;
      };
    },
  };
  const outcomes = new Outcomes(source, () => undefined);
  const stateOf = (id: string) => {
    const found = outcomes.of(id);
    return found === "gone" ? found : found?.state;
  };
  return { outcomes, asked, heard, stateOf, isFollowed: () => heard.tell !== undefined };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

test("twenty videos are read once each and followed through one stream, which ends with the last of them", async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `v${index}`);
  const { outcomes, asked, heard, stateOf, isFollowed } = team(Object.fromEntries(ids.map((id) => [id, "stored"])));
  for (let count = 1; count <= 20; count++) {
    outcomes.follow(ids.slice(0, count)); // as one after the other is sent
    await settle();
  }
  assert.deepEqual(asked, ids);
  assert.equal(heard.streams, 1);
  heard.tell?.(changes(20, video("v0", "rejected"), video("another", "done")));
  assert.deepEqual([stateOf("v0"), stateOf("v1"), stateOf("another")], ["rejected", "stored", undefined]);
  heard.tell?.(changes(20, ...ids.slice(1).map((id) => video(id, "done"))));
  assert.equal(isFollowed(), false);
});

test("one that was erased is told, and who looks at another page meanwhile misses nothing", async () => {
  const states: Record<string, string | undefined> = { a: "stored", b: "running" };
  const { outcomes, heard, stateOf, isFollowed } = team(states);
  outcomes.follow(["a", "b"]);
  await settle();
  outcomes.stop();
  assert.equal(isFollowed(), false);
  Object.assign(states, { a: "failed" });
  outcomes.follow(["a", "b"]);
  await settle();
  assert.deepEqual([stateOf("a"), stateOf("b")], ["failed", "running"]);
  Object.assign(states, { b: undefined });
  heard.tell?.(changes(2));
  await settle();
  assert.equal(stateOf("b"), "gone");
  assert.equal(isFollowed(), false);
});
