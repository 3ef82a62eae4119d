import assert from "node:assert/strict";
import { test } from "node:test";
import { askAbilities, type Browser, CODECS } from "../src/abilities.ts";

function decoder(answer: (codec: string) => Promise<boolean>): NonNullable<Browser["VideoDecoder"]> {
  return { isConfigSupported: async ({ codec }) => ({ config: { codec }, supported: await answer(codec) }) };
}

test("without WebCodecs nothing is decoded", async () => {
  assert.deepEqual(await askAbilities({ isSecureContext: false }), { secure: false, decodes: [] });
});

test("each codec is asked for, and only those that the browser affirms are named", async () => {
  const VideoDecoder = decoder(async (codec) => codec === CODECS.VP9);
  assert.deepEqual(await askAbilities({ isSecureContext: true, VideoDecoder }), { secure: true, decodes: ["VP9"] });
});

test("a browser that throws at a codec it does not know still plays the others", async () => {
  const VideoDecoder = decoder((codec) =>
    codec === CODECS.HEVC ? Promise.reject(new TypeError("unknown codec")) : Promise.resolve(true),
  );
  const { decodes } = await askAbilities({ isSecureContext: true, VideoDecoder });
  assert.deepEqual(decodes, ["H.264", "VP9", "AV1"]);
});
