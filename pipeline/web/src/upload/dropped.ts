/** The files that somebody dropped or picked, those in folders too. */

const VIDEO_NAME = /\.(mp4|m4v|mov|mkv|webm|avi|mts|m2ts|ts|mpg|mpeg|mxf|wmv|flv|3gp|ogv|insv|lrv)$/i;

/** Whether a file seems to be a video; the server looks into it. */
export function seemsVideo(file: Pick<File, "name" | "type">): boolean {
  return !file.name.startsWith("._") && (file.type.startsWith("video/") || VIDEO_NAME.test(file.name));
}

const paths = new WeakMap<File, string>();

/** A file's name, with the folders in which it was picked or dropped. */
export function pathOf(file: File): string {
  return paths.get(file) ?? (file.webkitRelativePath || file.name);
}

/** Every file in what was dropped. It must be asked within the event; a browser forgets it afterwards. */
export function droppedFiles(dropped: DataTransfer): Promise<File[]> {
  const entries = Array.from(dropped.items, (item) => (item.kind === "file" ? item.webkitGetAsEntry() : null));
  const files = Array.from(dropped.files);
  return entries.some((entry) => entry?.isDirectory)
    ? Promise.all(entries.map((entry) => (entry ? filesIn(entry) : []))).then((found) => found.flat())
    : Promise.resolve(files);
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    paths.set(file, entry.fullPath.replace(/^\//, ""));
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A folder comes in pieces of 100, and then an empty one.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) {
      return found;
    }
    for (const each of some) {
      found.push(...(await filesIn(each)));
    }
  }
}
