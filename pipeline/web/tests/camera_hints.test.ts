import assert from "node:assert/strict";
import { test } from "node:test";
import type { Figures, Told } from "../src/camera/hints/hint.ts";
import { Hints } from "../src/camera/hints/hints.ts";

const GOOD: Figures = {
  width: 1280,
  height: 720,
  preview: "ready",
  person: { tallPx: 400, edges: [], meanLuma: 110 },
  light: { mean: 120, contrast: 150, black: 0.01, white: 0.02 },
  sharpness: 0.1,
  shake: 0.0002,
  roll: 0.3,
  rate: { fps: 29.9, uneven: 0 },
  chosenRate: 30,
  battery: { share: 0.8, charging: false },
  minutes: 200,
};

/** What is shown once figures have lasted. */
function told(change: Partial<Figures>, hints = new Hints(), from = 0): ReadonlyMap<string, Told> {
  let shown: readonly Told[] = [];
  for (let now = from; now <= from + 2000; now += 500) {
    shown = hints.see({ ...GOOD, ...change }, now);
  }
  return new Map(shown.map((each) => [each.name, each]));
}

test("where all is well, all is good and nothing is to be done", () => {
  for (const hint of told({}).values()) {
    assert.deepEqual([hint.level, hint.fix], ["good", ""], hint.name);
    assert.ok(hint.reason.length > 20 && hint.text.length > 3, hint.name);
  }
});

const CASES: readonly [string, Partial<Figures>, Told["level"], RegExp][] = [
  [
    "Whole person",
    { person: { tallPx: 400, edges: ["bottom"], meanLuma: 90 } },
    "bad",
    /at the bottom.*Tilt the camera down/,
  ],
  [
    "Whole person",
    { person: { tallPx: 400, edges: ["left"], meanLuma: 90 } },
    "bad",
    /at the left.*Turn the camera to the left/,
  ],
  ["Whole person", { person: { tallPx: 700, edges: ["top", "bottom"], meanLuma: 90 } }, "bad", /Step back/],
  ["Whole person", { person: "nobody" }, "unknown", /Nobody is seen/],
  ["Whole person", { preview: "failed", person: undefined }, "unknown", /Without the preview/],
  [
    "Size",
    { person: { tallPx: 230, edges: [], meanLuma: 90 } },
    "fair",
    /230 px tall, 69 in the bundled model's square of 384.*293 px tall/,
  ],
  ["Size", { person: { tallPx: 100, edges: [], meanLuma: 90 } }, "bad", /30 in the bundled/],
  ["Light", { light: { mean: 25, contrast: 40, black: 0.4, white: 0 } }, "bad", /too dark.*lights/],
  [
    "Light",
    { light: { mean: 150, contrast: 200, black: 0, white: 0.4 } },
    "bad",
    /40 % is plain white.*away from the sun/,
  ],
  ["Light", { light: { mean: 150, contrast: 40, black: 0, white: 0 } }, "fair", /little to tell apart.*lens/],
  ["Light", { person: { tallPx: 400, edges: [], meanLuma: 30 } }, "fair", /in the shade.*behind the camera/],
  ["Sharpness", { sharpness: 0.003 }, "bad", /Blurred.*focus/],
  ["Sharpness", { sharpness: undefined }, "unknown", /Nothing in the picture/],
  ["Stillness", { shake: 0.01 }, "bad", /12.8 px|13 px.*tripod/],
  ["Horizon", { roll: 5.2 }, "bad", /5.2° clockwise.*5.2° anticlockwise/],
  ["Horizon", { roll: -2 }, "fair", /2.0° anticlockwise.*2.0° clockwise/],
  ["Horizon", { roll: undefined }, "unknown", /level/],
  ["Frame rate", { rate: { fps: 15, uneven: 0 } }, "bad", /15.0 frames a second of 30.*lower resolution/],
  [
    "Frame rate",
    { rate: { fps: 15, uneven: 0.3 }, light: { mean: 30, contrast: 80, black: 0, white: 0 } },
    "bad",
    /unevenly.*bring more light/,
  ],
  ["Battery", { battery: { share: 0.1, charging: false } }, "bad", /10 %.*Plug/],
  ["Battery", { battery: { share: 0.1, charging: true } }, "good", /charging/],
  ["Storage", { minutes: 12 }, "fair", /12 minutes.*Upload/],
];

for (const [name, change, level, words] of CASES) {
  test(`${name}: ${JSON.stringify(change)} is ${level}`, () => {
    const hint = told(change).get(name);
    assert.equal(hint?.level, level);
    assert.match(`${hint?.text} ${hint?.fix}`, words);
  });
}

test("what passes within a moment is not shown, and what stays is shown with its own numbers", () => {
  const hints = new Hints();
  told({}, hints);
  const dark: Partial<Figures> = { light: { mean: 20, contrast: 80, black: 0, white: 0 } };
  const at = (now: number, change: Partial<Figures>) =>
    hints.see({ ...GOOD, ...change }, now).find((each) => each.name === "Light");
  assert.equal(at(3000, dark)?.level, "good");
  assert.match(at(3000, dark)?.text ?? "", /47 %/);
  assert.equal(at(3400, {})?.level, "good");
  assert.equal(at(3500, dark)?.level, "good");
  assert.equal(at(4500, dark)?.level, "bad");
  assert.match(at(4600, dark)?.text ?? "", /8 %/);
});

test("a figure at its bound does not go to and fro", () => {
  const hints = new Hints();
  const seen = new Set<string>();
  told({ rate: { fps: 27, uneven: 0 } }, hints);
  for (let now = 3000; now < 20_000; now += 500) {
    const fps = 27.9 + 0.8 * Math.sin(now);
    const shown = hints.see({ ...GOOD, rate: { fps, uneven: 0 } }, now).find((each) => each.name === "Frame rate");
    seen.add(shown?.level ?? "");
  }
  assert.deepEqual([...seen], ["fair"]);
});
