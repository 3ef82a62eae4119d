/** Unpack the Chromium of the tests, with the libraries that a bare machine lacks, into the directory that is given. */

import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inflate } from "@sparticuz/chromium";

const packed = fileURLToPath(new URL("../node_modules/@sparticuz/chromium/bin", import.meta.url));
const [target] = process.argv.slice(2);
if (!target) {
  throw new Error("usage: unpack_browser.ts DIRECTORY");
}
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
// The package knows one place to unpack into: the directory for temporary files.
process.env.TMPDIR = target;
if (tmpdir() !== target) {
  throw new Error(`cannot unpack into ${target}`);
}
for (const part of ["chromium.br", "fonts.tar.br", "swiftshader.tar.br", "al2023.tar.br"]) {
  await inflate(join(packed, part));
}
// Not for the one who unpacked it alone.
await chmod(join(target, "chromium"), 0o755);
// Its own fonts, so that pages look alike on every machine, one without fonts too.
await writeFile(
  join(target, "fonts.conf"),
  `<fontconfig><dir>${join(target, "fonts")}</dir><cachedir>${join(target, "fonts-cache")}</cachedir></fontconfig>\n`,
);
