/** The videos that a page shows: loaded page by page, and kept as they are now. */

import { useEffect, useState } from "preact/hooks";
import { get, teamPath } from "../../api.ts";
import { askNow, followChanges } from "../../changes.ts";
import type { VideoOut, VideoPage } from "../../schema.ts";
import { type Filters, queryOf } from "./filters.ts";
import { merged, mustReload, Searched } from "./merged.ts";

export interface VideoList {
  /** Undefined until the first page is there. */
  readonly videos: readonly VideoOut[] | undefined;
  /** Of all videos of the team, whatever is searched for. */
  readonly count: number;
  readonly hasMore: boolean;
  readonly error: unknown;
  readonly loadMore: () => Promise<void>;
}

interface State {
  readonly videos?: readonly VideoOut[];
  readonly next: string | null;
  readonly count: number;
  readonly error?: unknown;
}

const EMPTY: State = { next: null, count: 0 };

export function useVideoList(team: string, filters: Filters): VideoList {
  const [state, setState] = useState<State>(EMPTY);
  const query = queryOf(filters);
  const page = (after: string | null, signal?: AbortSignal) => {
    const place = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    return get<VideoPage>(`${teamPath(team, "videos")}?${query}${place}`, signal ? { signal } : {});
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: `page` is made of the team and the query
  useEffect(() => {
    const own = new AbortController();
    let stop = () => {};
    const begin = async () => {
      const now = await askNow(team, own.signal);
      const first = await page(null, own.signal);
      setState({ videos: first.items, next: first.next, count: now.count });
      const searched = query === "" ? undefined : new Searched();
      searched?.differ(first.items);
      let count = now.count;
      stop = followChanges(team, now.next, (changes) => {
        const reload = mustReload(changes, count, searched);
        count = changes.count;
        if (reload) {
          page(null, own.signal).then(
            (anew) => setState({ videos: anew.items, next: anew.next, count: changes.count }),
            () => {},
          );
        } else {
          setState((before) => ({
            ...before,
            ...merged(before.videos ?? [], changes, query !== ""),
            count: changes.count,
          }));
        }
      });
      if (own.signal.aborted) {
        stop();
      }
    };
    begin().catch((error: unknown) => own.signal.aborted || setState({ ...EMPTY, error }));
    return () => {
      own.abort();
      stop();
    };
  }, [team, query]);

  const loadMore = async () => {
    const more = await page(state.next);
    setState((before) => {
      const known = new Set(before.videos?.map((video) => video.video_id));
      const fresh = more.items.filter((video) => !known.has(video.video_id));
      return { ...before, videos: [...(before.videos ?? []), ...fresh], next: more.next };
    });
  };
  return {
    videos: state.videos,
    count: state.count,
    hasMore: state.next !== null,
    error: state.error,
    loadMore,
  };
}
