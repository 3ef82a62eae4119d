/** The video with its runs, asked for again while one of them goes on. */

import { useEffect, useState } from "preact/hooks";
import { API, get, isGone, messageOf } from "../../api.ts";

export interface RunOfVideo {
  readonly id: string;
  readonly model: string;
  readonly state: "waiting" | "queued" | "running" | "finishing" | "done" | "failed" | "cancelled";
  readonly reason: string | null;
  readonly is_current: boolean;
  readonly frames_done: number;
  readonly frames_missing: number;
  /** Of a kept live session: which of its frames have no poses, in words. */
  readonly live: string | null;
  readonly created_at: string;
}

export interface VideoRuns {
  readonly id: string;
  readonly name: string;
  readonly state: "uploading" | "stored" | "ready" | "rejected";
  readonly reason: string | null;
  readonly frames: number | null;
  readonly notes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly runs: readonly RunOfVideo[];
}

const ASK_AGAIN_MS = 2000;

export function isOpen({ state }: RunOfVideo): boolean {
  return state !== "done" && state !== "failed" && state !== "cancelled";
}

/**
 * Asks at once, whenever `cause` is another one, and again every few seconds for as long as `goesOn` says so of the last
 * answer.
 */
export function useAnswer<Answer>(
  url: string,
  goesOn: (answer: Answer) => boolean,
  cause = "",
): { found: Answer | undefined; error: string | undefined; reload: () => void } {
  const [asked, setAsked] = useState(0);
  const [state, setState] = useState<{ url: string; found?: Answer; error?: string }>({ url });
  // biome-ignore lint/correctness/useExhaustiveDependencies: `goesOn` is a function of its argument alone.
  useEffect(() => {
    const stopped = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = () => {
      timer = setTimeout(() => void load(), ASK_AGAIN_MS);
    };
    const load = async () => {
      try {
        const found = await get<Answer>(url.slice(API.length), { signal: stopped.signal });
        setState({ url, found });
        if (goesOn(found)) {
          again();
        }
      } catch (error) {
        if (isGone(error)) {
          setState({ url, error: "There is no video here: it was removed, or you may not see it." });
        } else if (!stopped.signal.aborted) {
          setState((last) => ({ ...last, url, error: messageOf(error) }));
          again();
        }
      }
    };
    void load();
    return () => {
      stopped.abort();
      clearTimeout(timer);
    };
  }, [url, asked, cause]);
  const reload = () => setAsked((times) => times + 1);
  return { found: state.url === url ? state.found : undefined, error: state.error, reload };
}

export function useVideoRuns(videoUrl: string) {
  return useAnswer<VideoRuns>(`${videoUrl}/runs`, ({ state, runs }) =>
    state === "uploading" || state === "stored" ? true : runs.some(isOpen),
  );
}
