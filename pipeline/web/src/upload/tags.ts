/** Tags as people write them: `season=2026, match=home`. */
export function parseTags(text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const one of text.split(",").map((each) => each.trim())) {
    const at = one.indexOf("=");
    if (one !== "" && at <= 0) {
      throw new Error(`"${one}" is no tag: write key=value.`);
    }
    if (one !== "") {
      tags[one.slice(0, at).trim()] = one.slice(at + 1).trim();
    }
  }
  return tags;
}
