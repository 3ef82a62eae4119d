/** What changes of a team's videos, as it happens: by server-sent events, or asked for where they do not come through. */

import { API, get, teamPath } from "./api.ts";
import type { ChangesOut } from "./schema.ts";

/** A proxy that keeps events back is found out after so long. */
const OPENS_WITHIN_MS = 8_000;
const ASK_EVERY_MS = 4_000;

/** Where to follow from: what is asked before the list itself, so that nothing between the two is missed. */
export const askNow = (team: string, signal?: AbortSignal) =>
  get<ChangesOut>(teamPath(team, "changes"), signal ? { signal } : {});

/** Tell of every change from `after` on, until the returned function is called. */
export function followChanges(team: string, after: string, tell: (changes: ChangesOut) => void): () => void {
  let next = after;
  let ended = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const told = (changes: ChangesOut) => {
    next = changes.next;
    tell(changes);
  };
  const path = (end: string) => `${teamPath(team, end)}?after=${encodeURIComponent(next)}`;

  const ask = async () => {
    const changes = await get<ChangesOut>(path("changes")).catch(() => undefined);
    if (!ended) {
      if (changes) {
        told(changes);
      }
      timer = setTimeout(() => void ask(), ASK_EVERY_MS);
    }
  };

  const events = new EventSource(`${API}${path("events")}`);
  const askInstead = () => {
    events.close();
    void ask();
  };
  timer = setTimeout(askInstead, OPENS_WITHIN_MS);
  events.addEventListener("open", () => clearTimeout(timer));
  events.addEventListener("changes", (event) => told(JSON.parse((event as MessageEvent<string>).data)));
  events.addEventListener("error", () => {
    // While it connects anew by itself there is nothing to do; after an answer that is no stream it does not.
    if (events.readyState === EventSource.CLOSED && !ended) {
      clearTimeout(timer);
      askInstead();
    }
  });
  return () => {
    ended = true;
    clearTimeout(timer);
    events.close();
  };
}
