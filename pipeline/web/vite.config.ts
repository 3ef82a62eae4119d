import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

/** Writes each program and style sheet a second time as gzip, which `poseline web` sends to browsers that take it. */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  async writeBundle({ dir = "" }, bundle) {
    for (const name of Object.keys(bundle).filter((each) => /\.(js|wasm|css|svg)$/.test(each))) {
      const path = join(dir, name);
      const level = constants.Z_BEST_COMPRESSION;
      await writeFile(`${path}.gz`, await promisify(gzip)(await readFile(path), { level }));
    }
  },
};

// What the Content-Security-Policy of the pages allows: files of their own origin, no inline script, no data: URL.
export default defineConfig({
  plugins: [compressed],
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    license: { fileName: "licenses.md" },
  },
});
