/** What a list becomes by what changed. */

import type { ChangesOut, VideoOut } from "../../schema.ts";

/** What a search looks at, of every video that was heard of. */
export class Searched {
  private readonly known = new Map<string, string>();

  /** Whether something of these videos is new that a search may look at. */
  differ(videos: readonly VideoOut[]): boolean {
    let differs = false;
    for (const { video_id, name, state, tags } of videos) {
      const now = JSON.stringify([name, state, tags]);
      differs ||= this.known.get(video_id) !== now;
      this.known.set(video_id, now);
    }
    return differs;
  }
}

/**
 * Whether the list has to be read anew: too much changed, one was erased, or it is not known which fit a search.
 *
 * @param searched - where the list is that of a search.
 */
export function mustReload(changes: ChangesOut, count: number, searched?: Searched): boolean {
  const differ = searched?.differ(changes.videos) ?? false;
  return !changes.complete || changes.count < count || differ;
}

/** The list with what changed: known videos in their place, new ones before the others, unless it is a search's. */
export function merged(
  videos: readonly VideoOut[],
  changes: ChangesOut,
  searching = false,
): { videos: readonly VideoOut[] } {
  const changed = new Map(changes.videos.map((video) => [video.video_id, video]));
  const kept = videos.map((video) => changed.get(video.video_id) ?? video);
  const known = new Set(videos.map((video) => video.video_id));
  const newest = videos[0]?.created_at ?? "";
  const fresh = changes.videos.filter((video) => !known.has(video.video_id) && video.created_at >= newest);
  return { videos: searching ? kept : [...fresh, ...kept] };
}
