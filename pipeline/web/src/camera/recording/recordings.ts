/** The recordings that this device keeps for this site until they are uploaded, saved or removed. */

import { FOLDER } from "./record_messages.ts";
import { wholeBytes } from "./whole_boxes.ts";

async function folder(): Promise<FileSystemDirectoryHandle | undefined> {
  const root = await navigator.storage?.getDirectory?.().catch(() => undefined);
  return root?.getDirectoryHandle(FOLDER, { create: true });
}

/** All recordings that have anything in them, the newest first. */
export async function listRecordings(): Promise<File[]> {
  const held: File[] = [];
  const place = await folder();
  if (place) {
    for await (const handle of place.values()) {
      if (handle.kind === "file") {
        held.push(await wholePart(await (handle as FileSystemFileHandle).getFile()));
      }
    }
  }
  return held.filter((file) => file.size > 0).sort((one, other) => other.lastModified - one.lastModified);
}

export async function readRecording(name: string): Promise<File> {
  const handle = await (await folder())?.getFileHandle(name);
  if (!handle) {
    throw new Error("This browser keeps no files for pages.");
  }
  return wholePart(await handle.getFile());
}

export async function removeRecording(name: string): Promise<void> {
  await (await folder())?.removeEntry(name);
}

/** Without what a crash left half written at its end. */
async function wholePart(file: File): Promise<File> {
  const whole = file.name.endsWith(".mp4") ? await wholeBytes(file) : file.size;
  return whole === file.size
    ? file
    : new File([file.slice(0, whole)], file.name, { type: file.type, lastModified: file.lastModified });
}
