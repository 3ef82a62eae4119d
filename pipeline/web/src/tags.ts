/** Tags as people write them: `season=2026, match=home`. */
export function parseTags(text: string): Record<string, string> {
  const written = text.split(",").filter((each) => each.trim() !== "");
  return Object.fromEntries(written.map(tagOf));
}

/** One tag: its key and its value. */
export function tagOf(text: string): readonly [key: string, value: string] {
  const at = text.indexOf("=");
  const [key, value] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (at < 0 || key === "" || value === "") {
    throw new Error(`"${text.trim()}" is no tag: write key=value.`);
  }
  return [key, value];
}
