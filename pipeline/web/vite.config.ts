import { defineConfig } from "vite";

// What the Content-Security-Policy of the pages allows: files of their own origin, no inline script, no data: URL.
export default defineConfig({
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: "manifest.json",
    license: { fileName: "licenses.md" },
  },
});
