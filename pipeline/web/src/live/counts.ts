/** What became of each frame of a session, counted here, and compared with what the server counted. */

import type { Fate, Summary } from "./protocol.ts";

export interface Counted {
  readonly captured: number;
  /** Left out here, before they were encoded or for want of a network. */
  readonly dropped: number;
  readonly sent: number;
  readonly analysed: number;
  readonly superseded: number;
  readonly failed: number;
  /** Sent, without a result so far; after a broken connection nobody here knows what became of them. */
  readonly open: number;
}

export class Counts {
  private captured = 0;
  private sent = 0;
  private readonly fates: Record<Fate, number> = { analysed: 0, superseded: 0, failed: 0 };

  capture(): void {
    this.captured++;
  }

  send(): void {
    this.sent++;
  }

  settle(fate: Fate): void {
    this.fates[fate]++;
  }

  now(): Counted {
    const { captured, sent, fates } = this;
    const settled = fates.analysed + fates.superseded + fates.failed;
    return { captured, sent, dropped: captured - sent, ...fates, open: sent - settled };
  }
}

/** Where both sides counted something else, in words; none where they agree. */
export function disagreements(here: Counted, server: Summary): string[] {
  const pairs = [
    ["sent", here.sent, server.received],
    ["analysed", here.analysed, server.analysed],
    ["superseded", here.superseded, server.superseded],
    ["failed", here.failed, server.failed],
  ] as const;
  return pairs.flatMap(([name, mine, theirs]) => (mine === theirs ? [] : [`${name}: ${mine} here, ${theirs} there`]));
}
