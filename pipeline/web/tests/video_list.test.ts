import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, filtersOf, NOTHING, queryOf } from "../src/pages/videos/filters.ts";
import { merged, mustReload, Searched } from "../src/pages/videos/merged.ts";
import type { ChangesOut, NewestRunOut, VideoOut } from "../src/schema.ts";
import { inTime, tell } from "../src/told.ts";

const RUN: NewestRunOut = {
  run_id: "r",
  model: "rtmo-t",
  state: "running",
  reason: null,
  frames_done: 59,
  frames: 120,
  frames_missing: null,
  most_people: null,
  created_at: "2026-11-27T12:00:00Z",
  started_at: null,
  finished_at: null,
  paused: false,
};

function video(id: string, more: Partial<VideoOut> = {}): VideoOut {
  return {
    video_id: id,
    name: `${id}.mp4`,
    state: "running",
    reason: null,
    created_at: `2026-11-27T12:00:0${id}Z`,
    size_bytes: 1,
    width: null,
    height: null,
    codec: null,
    frames: 120,
    video_s: 4,
    notes: [],
    tags: {},
    current_run_id: null,
    models: [],
    run: RUN,
    ...more,
  };
}

const changes = (videos: VideoOut[], count: number): ChangesOut => ({ videos, count, complete: true, next: "n" });

test("changes stay in their place, new videos come first, older ones of other pages are left out", () => {
  const now = changes([video("3"), video("2", { name: "renamed" }), video("0")], 9);
  const names = merged([video("2"), video("1")], now).videos.map(({ name }) => name);
  assert.deepEqual(names, ["3.mp4", "renamed", "1.mp4"]);
});

test("a list is read anew when one was erased, too much changed, or a search may fit others", () => {
  assert.equal(mustReload(changes([], 2), 3), true);
  assert.equal(mustReload({ ...changes([], 3), complete: false }, 3), true);
  assert.equal(mustReload(changes([], 4), 3), false);
  const searched = new Searched();
  searched.differ([video("1")]);
  const asked = (more: Partial<VideoOut>) => mustReload(changes([video("1", more)], 3), 3, searched);
  assert.equal(asked({ run: { ...RUN, frames_done: 60 } }), false, "it only goes on");
  assert.equal(asked({ state: "cancelled" }), true);
  assert.equal(asked({ state: "cancelled" }), false);
  assert.equal(asked({ state: "cancelled", tags: { season: "2026" } }), true);
  assert.equal(mustReload(changes([video("2")], 3), 3, searched), true, "it may fit");
});

test("what is analysed meanwhile is not put before the results of a search", () => {
  const now = changes([video("3"), video("1", { name: "final" })], 9);
  assert.deepEqual(
    merged([video("1")], now, true).videos.map(({ name }) => name),
    ["final"],
  );
});

test("a search goes from the address to the API and back", () => {
  const filters = { ...NOTHING, name: "cam 3", tags: "season=2026, match=a&b", state: "failed" };
  assert.deepEqual(filtersOf(new URLSearchParams(addressOf(filters))), filters);
  assert.equal(queryOf(filters), "name=cam+3&tag=season%3D2026&tag=match%3Da%26b&state=failed&state=rejected");
  assert.equal(addressOf(NOTHING), "");
  const days = new URLSearchParams(queryOf({ ...NOTHING, since: "2026-11-27", until: "2026-11-27" }));
  const [from, to] = [days.get("since"), days.get("before")].map((time) => new Date(time ?? "").getTime());
  assert.equal((to ?? 0) - (from ?? 0), 86_400_000);
});

test("states are told in words, with how far it is", () => {
  assert.deepEqual(tell(video("1")), { words: "Being analysed, 49 %", kind: "busy", done: 59 / 120 });
  assert.equal(tell(video("1", { current_run_id: "other" })).words, "Being analysed again, 49 %");
  assert.equal(tell(video("1", { run: { ...RUN, paused: true } })).words, "Paused");
  assert.deepEqual(tell(video("1", { state: "rejected", run: null })), { words: "Cannot be analysed", kind: "bad" });
  assert.deepEqual([0.04, 0.3, 8, 2710, 5400].map(inTime), ["0.04 s", "0.30 s", "0:08", "45:10", "1:30:00"]);
});
