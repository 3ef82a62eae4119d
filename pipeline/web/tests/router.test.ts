import assert from "node:assert/strict";
import { test } from "node:test";
import { match } from "../src/router.ts";

test("a path gives its parts by name, unescaped", () => {
  assert.deepEqual(match("/t/:team/videos/:video", "/t/a%2Fb/videos/7/"), { team: "a/b", video: "7" });
  assert.deepEqual(match("/", "/"), {});
});

test("another path does not fit, nor one that lacks a part or is badly escaped", () => {
  for (const path of ["/t/x", "/t//videos", "/t/x/videos/7", "/t/x/members", "/t/%zz/videos"]) {
    assert.equal(match("/t/:team/videos", path), undefined);
  }
});
