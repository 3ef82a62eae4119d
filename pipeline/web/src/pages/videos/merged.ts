/** What a list becomes by what changed. */

import type { ChangesOut, VideoOut } from "../../schema.ts";

/** Whether the list has to be read anew: too much changed, one was erased, or it is not known which fit a search. */
export function mustReload(changes: ChangesOut, count: number, searching: boolean): boolean {
  return !changes.complete || changes.count < count || (searching && changes.count !== count);
}

/** The list with what changed: known videos in their place, new ones before the others. */
export function merged(videos: readonly VideoOut[], changes: ChangesOut): { videos: readonly VideoOut[] } {
  const changed = new Map(changes.videos.map((video) => [video.video_id, video]));
  const kept = videos.map((video) => changed.get(video.video_id) ?? video);
  const known = new Set(videos.map((video) => video.video_id));
  const newest = videos[0]?.created_at ?? "";
  const fresh = changes.videos.filter((video) => !known.has(video.video_id) && video.created_at >= newest);
  return { videos: [...fresh, ...kept] };
}
