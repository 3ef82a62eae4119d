/** Fetches segments of poses, keeps the last few, and asks again for those that are still to come. */

import { lineOf } from "../again.ts";
import { fetchGood } from "../api.ts";
import type { FrameTable } from "./frame_table.ts";
import { type FramePoses, PoseSegment } from "./pose_segment.ts";

const MOST_BYTES = 48 * 2 ** 20;
const ASK_AGAIN_MS = 2000;
const AFTER_ERROR_MS = 4000;

interface Kept {
  segment?: PoseSegment;
  /** Until then, what there is of it is not asked for again. */
  freshUntil: number;
  pending?: Promise<void>;
}

export class PoseStore {
  error: string | undefined;
  private readonly kept = new Map<number, Kept>();
  private readonly stopped = new AbortController();
  /** Has what is shown drawn again, and so asked for again, where it was not final. */
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly table: FrameTable;
  private readonly urlOf: (segment: number) => string;
  private readonly onChange: () => void;

  constructor(table: FrameTable, urlOf: (segment: number) => string, onChange: () => void) {
    this.table = table;
    this.urlOf = urlOf;
    this.onChange = onChange;
  }

  /** What is known of a frame now; undefined where its segment is on the way. */
  peek(frame: number): FramePoses | undefined {
    const number = this.table.segmentOf(frame);
    const kept = this.kept.get(number);
    if (!kept?.segment?.header.final) {
      void this.fetch(number);
    } else {
      this.kept.delete(number);
      this.kept.set(number, kept); // the last used is last
    }
    const next = number + 1;
    if (next < this.table.header.segments.length && frame > this.halfOf(number)) {
      void this.fetch(next);
    }
    return kept?.segment?.frame(frame);
  }

  /** What is known of a frame, once its segment is here. */
  async get(frame: number): Promise<FramePoses | undefined> {
    await this.fetch(this.table.segmentOf(frame));
    return this.peek(frame);
  }

  dispose(): void {
    this.stopped.abort();
    clearTimeout(this.timer);
    this.kept.clear();
  }

  private halfOf(segment: number): number {
    const { segments } = this.table.header;
    return ((segments[segment] ?? 0) + (segments[segment + 1] ?? this.table.frames)) / 2;
  }

  private fetch(number: number): Promise<void> {
    const kept = this.kept.get(number) ?? { freshUntil: 0 };
    this.kept.set(number, kept);
    const known = kept.segment?.header.final || performance.now() < kept.freshUntil;
    if (!known && !kept.pending && !this.stopped.signal.aborted) {
      kept.pending = this.ask(number, kept).finally(() => {
        delete kept.pending;
      });
    }
    return kept.pending ?? Promise.resolve();
  }

  private async ask(number: number, kept: Kept): Promise<void> {
    try {
      const answer = await fetchGood(this.urlOf(number), { signal: this.stopped.signal });
      kept.segment = new PoseSegment(await answer.arrayBuffer());
      kept.freshUntil = performance.now() + ASK_AGAIN_MS;
      this.error = undefined;
      this.forgetOld(number);
    } catch (error) {
      if (this.stopped.signal.aborted) {
        return;
      }
      this.error = `The poses are not here: ${lineOf(error)}`;
      kept.freshUntil = performance.now() + AFTER_ERROR_MS;
    }
    if (!kept.segment?.header.final) {
      clearTimeout(this.timer);
      this.timer = setTimeout(this.onChange, kept.freshUntil - performance.now() + 1);
    }
    this.onChange();
  }

  private forgetOld(butNot: number): void {
    let bytes = 0;
    for (const { segment } of this.kept.values()) {
      bytes += segment?.bytes ?? 0;
    }
    for (const [number, { segment, pending }] of this.kept) {
      if (bytes <= MOST_BYTES) {
        return;
      }
      if (number !== butNot && segment && !pending) {
        bytes -= segment.bytes;
        this.kept.delete(number);
      }
    }
  }
}
