/** What becomes of videos that were sent: each is read once, and then all are followed through one stream. */

import { get, Problem, teamPath } from "../api.ts";
import { askNow, followChanges } from "../changes.ts";
import type { ChangesOut, VideoOut } from "../schema.ts";
import { sleep } from "./waiting.ts";

/** `gone`: it was erased meanwhile. */
export type Outcome = VideoOut | "gone";

/** Where it is asked; a test has its own. */
export interface Source {
  readonly now: (signal: AbortSignal) => Promise<ChangesOut>;
  readonly read: (video: string, signal: AbortSignal) => Promise<VideoOut>;
  readonly follow: (after: string, tell: (changes: ChangesOut) => void) => () => void;
}

const AGAIN_MS = 4_000;
/** Nothing more becomes of a video in these states by itself. */
const SETTLED: readonly string[] = ["rejected", "ready", "done", "failed", "cancelled"];

export function isSettled(outcome: Outcome | undefined): boolean {
  return outcome === "gone" || (outcome !== undefined && SETTLED.includes(outcome.state));
}

export class Outcomes {
  private readonly source: Source;
  private readonly onChange: () => void;
  private readonly known = new Map<string, Outcome | undefined>();
  private readonly unread = new Set<string>();
  private following: AbortController | undefined;
  /** The same as `following`'s, once changes are heard, and while videos are read. */
  private hearing: AbortSignal | undefined;
  private reading: AbortSignal | undefined;

  constructor(source: Source, onChange: () => void) {
    this.source = source;
    this.onChange = onChange;
  }

  /** Undefined until it was read. */
  of(video: string): Outcome | undefined {
    return this.known.get(video);
  }

  /** Follow these videos until nothing more becomes of them, or until `stop`; call it again when there are more. */
  follow(videos: readonly string[]): void {
    for (const video of videos.filter((each) => !this.known.has(each))) {
      this.known.set(video, undefined);
      this.unread.add(video);
    }
    if (!this.following && this.open.length > 0) {
      this.following = new AbortController();
      void this.begin(this.following.signal);
    } else if (this.following && this.hearing === this.following.signal) {
      void this.readAll(this.hearing);
    }
  }

  stop(): void {
    this.following?.abort();
    this.following = undefined;
  }

  private get open(): readonly string[] {
    return Array.from(this.known.keys()).filter((video) => !isSettled(this.known.get(video)));
  }

  /** The stream begins before the videos are read, so that nothing between the two is missed. */
  private async begin(signal: AbortSignal): Promise<void> {
    const begun = await this.retried(() => this.source.now(signal), signal);
    if (!begun) {
      return;
    }
    let count = begun.count;
    const stop = this.source.follow(begun.next, (changes) => {
      for (const video of changes.videos.filter(({ video_id }) => this.known.has(video_id))) {
        this.known.set(video.video_id, video);
      }
      if (!changes.complete || changes.count < count) {
        this.readOpen(signal);
      }
      count = changes.count;
      this.changed();
    });
    signal.addEventListener("abort", stop);
    this.hearing = signal;
    this.readOpen(signal);
  }

  private readOpen(signal: AbortSignal): void {
    for (const video of this.open) {
      this.unread.add(video);
    }
    void this.readAll(signal);
  }

  /** One after the other, however many there are. */
  private async readAll(signal: AbortSignal): Promise<void> {
    if (this.reading === signal) {
      return;
    }
    this.reading = signal;
    for (const video of this.unread) {
      const read = await this.retried(() => this.source.read(video, signal).catch(goneOf), signal);
      if (read === undefined) {
        break;
      }
      this.unread.delete(video);
      this.known.set(video, read);
      this.changed();
    }
    if (this.reading === signal) {
      this.reading = undefined;
    }
  }

  private changed(): void {
    this.onChange();
    if (this.open.length === 0) {
      this.stop();
    }
  }

  /** What is asked for, however often that takes; undefined once nobody waits for it. */
  private async retried<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    while (!signal.aborted) {
      try {
        return await ask();
      } catch {
        await sleep(AGAIN_MS, signal).catch(() => undefined);
      }
    }
    return undefined;
  }
}

function goneOf(error: unknown): "gone" {
  if (error instanceof Problem && error.status === 404) {
    return "gone";
  }
  throw error;
}

/** The API of a team. */
export function outcomesOf(team: string, onChange: () => void): Outcomes {
  const source: Source = {
    now: (signal) => askNow(team, signal),
    read: (video, signal) => get(teamPath(team, "videos", video), { signal }),
    follow: (after, tell) => followChanges(team, after, tell),
  };
  return new Outcomes(source, onChange);
}
