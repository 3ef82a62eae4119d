/** Gives a file that was made here to the browser, which saves it. */

/** Some browsers read it after the click. */
const KEPT_MS = 60_000;

/** A video's name without its ending, and without what file systems refuse. */
export function stemOf(name: string): string {
  return name.replace(/\.[^.]{1,5}$/, "").replace(/[\\/:*?"<>|]/g, "_") || "video";
}

export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}
