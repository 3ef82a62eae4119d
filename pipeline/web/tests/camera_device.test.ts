import assert from "node:assert/strict";
import { test } from "node:test";
import { cameraTrouble } from "../src/camera/camera_trouble.ts";
import { ratesFor, sizesFor } from "../src/camera/choice.ts";
import { wholeBytes } from "../src/camera/recording/whole_boxes.ts";

const error = (name: string, message = "") => new DOMException(message, name);

test("each trouble with a camera is one line that says what to do", () => {
  const lines = [
    cameraTrouble(error("NotAllowedError", "Permission denied"), true),
    cameraTrouble(error("NotAllowedError", "Permission denied by system"), true),
    cameraTrouble(error("NotFoundError"), true),
    cameraTrouble(error("NotReadableError"), true),
    cameraTrouble(error("OverconstrainedError"), true),
    cameraTrouble(error("NotSupportedError"), true),
    cameraTrouble(error("SecurityError"), false),
  ];
  const words = [
    /Allow it for this page/,
    /own settings/,
    /Plug one in/,
    /in use/,
    /Choose another/,
    /current/,
    /https/,
  ];
  for (const [index, line] of lines.entries()) {
    assert.match(line, words[index] ?? /never/);
    assert.ok(!line.includes("\n") && line.endsWith("."), line);
  }
  assert.equal(new Set(lines).size, lines.length);
  assert.equal(cameraTrouble(error("AbortError"), true), cameraTrouble(error("NotReadableError"), true));
  assert.match(cameraTrouble(new TypeError("odd"), true), /could not be opened: odd/);
});

test("only what the camera has is offered, however a phone is held; all where it says nothing", () => {
  const full = { width: { max: 1920 }, height: { max: 1080 }, frameRate: { min: 1, max: 29.97 } };
  assert.deepEqual(sizesFor(full)[0], [1920, 1080]);
  assert.deepEqual(sizesFor({ width: { max: 1080 }, height: { max: 1920 } })[0], [1920, 1080]);
  assert.deepEqual(
    sizesFor({ width: { max: 640 }, height: { max: 480 } }).map(([width]) => width),
    [640, 640],
  );
  assert.deepEqual(ratesFor(full), [24, 25, 30]);
  assert.deepEqual(ratesFor({ frameRate: { min: 1, max: 15 } }), [15]);
  assert.ok(sizesFor({}).length > 5 && ratesFor({}).length > 5);
});

function box(kind: string, payload: number, wide = false): Uint8Array<ArrayBuffer> {
  const head = wide ? 16 : 8;
  const bytes = new Uint8Array(head + payload);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, wide ? 1 : head + payload);
  bytes.set(Buffer.from(kind), 4);
  if (wide) {
    view.setBigUint64(8, BigInt(head + payload));
  }
  return bytes;
}

test("a recording that was broken off is cut after its last whole fragment, wherever it was", async () => {
  const fragments = [box("ftyp", 16), box("moov", 90), box("moof", 40), box("mdat", 300), box("moof", 44)];
  const whole = [...fragments, box("mdat", 500, true)];
  const afterFirst = 24 + 98 + 48 + 308;
  const all = Buffer.concat([...whole, box("mfra", 60)]);
  const cases: [Uint8Array<ArrayBuffer>[], number][] = [
    [whole, afterFirst + 52 + 516],
    [[...whole, box("mfra", 60)], all.length],
    [fragments, afterFirst],
    [fragments.slice(0, 2), 0],
    [[], 0],
  ];
  for (const [parts, wanted] of cases) {
    assert.equal(await wholeBytes(new Blob(parts)), wanted);
  }
  for (let length = 0; length <= all.length; length++) {
    const kept = await wholeBytes(new Blob([all.subarray(0, length)]));
    const wanted =
      length >= all.length
        ? all.length
        : length >= afterFirst + 568
          ? afterFirst + 568
          : length >= afterFirst
            ? afterFirst
            : 0;
    assert.equal(kept, wanted, `of ${length} bytes`);
  }
  // A box that would be shorter than its own head is none.
  const broken = Buffer.from(all);
  broken.writeUInt32BE(4, afterFirst);
  assert.equal(await wholeBytes(new Blob([broken])), afterFirst);
});
