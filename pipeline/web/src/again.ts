/** Trying again what failed because the server was not reached, or was not ready. */

import { messageOf, passes } from "./api.ts";

const AGAIN_MS = 3000;

export class Again {
  private stopped: AbortController | undefined;

  /** Does `work` in a moment, or as soon as this device is online again; what was to be done before is not. */
  later(work: () => void): void {
    this.stop();
    const stopped = new AbortController();
    const { signal } = stopped;
    const go = () => {
      this.stop();
      work();
    };
    const timer = setTimeout(go, AGAIN_MS);
    signal.addEventListener("abort", () => clearTimeout(timer));
    window.addEventListener("online", go, { signal });
    this.stopped = stopped;
  }

  stop(): void {
    this.stopped?.abort();
    this.stopped = undefined;
  }
}

/** What to tell of an error where whatever failed is tried again for as long as it passes by itself. */
export function lineOf(error: unknown): string {
  const line = messageOf(error);
  return passes(error) ? `${line.replace(/([^.?!])$/, "$1.")} It is asked again every few seconds.` : line;
}
