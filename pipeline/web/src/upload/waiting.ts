/** Waiting: before something is tried again, and for a turn. */

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/**
 * How long to wait before the next try: twice as long each time, at random between half of that and all, so that many
 * browsers that a server's restart cut off do not come back at once.
 *
 * @param failures in a row, at least 1.
 * @param asked what the server asked for, in ms.
 */
export function backoffMs(failures: number, asked = 0, random: () => number = Math.random): number {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.max(asked, most * (0.5 + random() / 2));
}

/** Resolve after that time, or at once when the network comes back; reject when aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      globalThis.removeEventListener?.("online", finish);
    };
    const finish = () => {
      end();
      resolve();
    };
    const abort = () => {
      end();
      reject(signal.reason);
    };
    const timer = setTimeout(finish, ms);
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort);
    globalThis.addEventListener?.("online", finish);
  });
}

interface Waiting {
  readonly rank: number;
  readonly begin: () => void;
}

/** So many may go on at once; of those who wait, the one of the lowest rank is next. */
export class Turns {
  private free: number;
  private waiting: Waiting[] = [];

  constructor(atOnce: number) {
    this.free = atOnce;
  }

  /** Do something when it is its turn. */
  async take<T>(rank: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.wait(rank, signal);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.free++;
      this.next();
    }
  }

  private wait(rank: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.waiting = this.waiting.filter((each) => each !== own);
        reject(signal.reason);
      };
      const own: Waiting = {
        rank,
        begin: () => {
          signal.removeEventListener("abort", abort);
          this.free--;
          resolve();
        },
      };
      signal.addEventListener("abort", abort);
      const at = this.waiting.findIndex((each) => each.rank > rank);
      this.waiting.splice(at < 0 ? this.waiting.length : at, 0, own);
      this.next();
    });
  }

  private next(): void {
    while (this.free > 0) {
      const first = this.waiting.shift();
      if (!first) {
        return;
      }
      first.begin();
    }
  }
}
