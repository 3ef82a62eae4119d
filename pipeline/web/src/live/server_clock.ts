/** The server's clock in the browser's, by exchanges: that with the least round trip knows it best. */

const KEPT = 8;

interface Exchange {
  readonly offsetMs: number;
  readonly tripMs: number;
}

export class ServerClock {
  private readonly last: Exchange[] = [];

  /**
   * @param sentMs, backMs when the question left and its answer came, by the browser's clock.
   * @param receivedMs, answeredMs when the server had it and answered, by the server's.
   */
  add(sentMs: number, receivedMs: number, answeredMs: number, backMs: number): void {
    this.last.push({
      offsetMs: (receivedMs - sentMs + answeredMs - backMs) / 2,
      tripMs: backMs - sentMs - (answeredMs - receivedMs),
    });
    if (this.last.length > KEPT) {
      this.last.shift();
    }
  }

  /** A time of the server's clock, in the browser's; undefined before the first exchange. */
  here(serverMs: number): number | undefined {
    const best = this.best();
    return best && serverMs - best.offsetMs;
  }

  /** The least round trip of the last exchanges: half of it is how far off `here` is at most. */
  get tripMs(): number | undefined {
    return this.best()?.tripMs;
  }

  private best(): Exchange | undefined {
    return this.last.reduce<Exchange | undefined>(
      (one, other) => (one && one.tripMs <= other.tripMs ? one : other),
      undefined,
    );
  }
}
