/**
 * One file on its way to the server. It goes on by itself after whatever passes: a lost network, a server that restarts,
 * a store that is full for a while. What does not pass is told, and keeps no other file back.
 */

import { messageOf, Problem } from "../api.ts";
import type { CompletedOut, KnownVideo, UploadWithParts } from "../schema.ts";
import { pathOf } from "./dropped.ts";
import type { Choice, Shared, State } from "./kinds.ts";
import { sha256Hex } from "./sha256.ts";
import { passes, reasonOf } from "./troubles.ts";
import { backoffMs, sleep } from "./waiting.ts";

/** Parts of one file that are on their way at once. */
const PARTS_AT_ONCE = 3;
/** Parts that arrive damaged so often in a row are not damaged by chance. */
const MOST_DAMAGED = 4;

export class FileUpload {
  readonly file: File;
  state: State = "waiting";
  /** What is in the way, or went wrong. */
  problem = "";
  known: KnownVideo | undefined;
  completed: CompletedOut | undefined;
  /** Whether it went on with what had been sent before. */
  resumed = false;

  private readonly rank: number;
  private readonly shared: Shared;
  private readonly choice: Choice;
  private upload: UploadWithParts | undefined;
  private again = false;
  private asked = false;
  private run: AbortController | undefined;
  private readonly hashes = new Map<number, string>();
  /** Parts that the server has, by number, with their sizes; and what has left of those under way. */
  private readonly stored = new Map<number, number>();
  private readonly underWay = new Map<number, number>();
  private failures = 0;
  private damaged = 0;

  constructor(file: File, rank: number, choice: Choice, shared: Shared) {
    this.file = file;
    this.rank = rank;
    this.choice = choice;
    this.shared = shared;
  }

  /** With the folders in which it was picked. */
  get name(): string {
    return pathOf(this.file);
  }

  get sentBytes(): number {
    if (this.state === "done") {
      return this.file.size;
    }
    const sum = (map: Map<number, number>) => Array.from(map.values()).reduce((total, bytes) => total + bytes, 0);
    return Math.min(this.file.size, sum(this.stored) + sum(this.underWay));
  }

  /** Whether it needs this page to stay open. */
  get isUnderWay(): boolean {
    return ["waiting", "checking", "sending", "retrying", "completing"].includes(this.state);
  }

  /** Begin, or go on after a pause, a failure, or an answer. */
  start(): void {
    this.run?.abort();
    const own = new AbortController();
    this.run = own;
    this.failures = this.damaged = 0;
    this.set("waiting");
    void this.goOn(own.signal);
  }

  /** Send it although a video like it is here. */
  sendAgain(): void {
    this.again = true;
    this.start();
  }

  pause(): void {
    this.run?.abort();
    this.set("paused");
  }

  /** Stop, and have nothing left of it on the server. */
  async cancel(): Promise<void> {
    this.run?.abort();
    this.problem = "";
    this.set("cancelling");
    try {
      const id = this.upload?.id ?? (this.asked ? await this.findOpen() : undefined);
      if (id !== undefined) {
        await this.shared.requests.giveUp(id);
      }
      this.set("cancelled");
    } catch (error) {
      const gone = error instanceof Problem && error.status === 404;
      this.problem = gone ? "" : `It could not be removed from the server: ${messageOf(error)}`;
      this.set(gone ? "cancelled" : "failed");
    }
  }

  /** The upload of this file, whose beginning may have been answered after it was stopped. */
  private async findOpen(): Promise<string | undefined> {
    const { items } = await this.shared.requests.list();
    const { name, size, lastModified } = this.file;
    return items.find((each) => each.name === name && each.size_bytes === size && each.modified_ms === lastModified)
      ?.id;
  }

  private async goOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.shared.opening.take(this.rank, signal, () => this.once(signal));
        return;
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        const again = await this.afterError(error, signal).catch(() => false);
        if (!again) {
          return;
        }
      }
    }
  }

  /** Wait, and say whether to try again. */
  private async afterError(error: unknown, signal: AbortSignal): Promise<boolean> {
    this.underWay.clear();
    const problem = error instanceof Problem ? error : undefined;
    const damaged = problem?.type === "urn:poseline:part-damaged";
    if (damaged) {
      this.damaged++;
      this.hashes.clear(); // the file may have been written to
    }
    const gone = problem?.status === 404 && this.upload !== undefined;
    if (gone) {
      this.forget();
    }
    if (!gone && !passes(error) && !(damaged && this.damaged < MOST_DAMAGED)) {
      this.problem = reasonOf(error);
      this.set("failed");
      return false;
    }
    this.failures++;
    this.problem = reasonOf(error);
    this.set("retrying");
    await sleep(backoffMs(this.failures, problem?.retryAfterMs), signal);
    return true;
  }

  private async once(signal: AbortSignal): Promise<void> {
    const upload = await this.begin(signal);
    if (!upload) {
      this.set("known");
      return;
    }
    this.upload = upload;
    if (!upload.complete) {
      await this.takeStored(upload, signal);
      await this.sendMissing(upload, signal);
    }
    this.set("completing");
    this.completed = await this.shared.requests.complete(upload.id, signal);
    this.problem = this.completed.problem;
    this.set("done");
  }

  /** The upload of this file: the one that is open, or a new one. Undefined where a video like it is here. */
  private async begin(signal: AbortSignal): Promise<UploadWithParts | undefined> {
    if (this.upload) {
      return this.shared.requests.read(this.upload.id, signal);
    }
    const partBytes = await this.shared.partBytes(this.file.size);
    const first = await this.shared.reading.take(this.rank, signal, () => {
      this.set("checking");
      return this.hash(1, partBytes);
    });
    this.asked = true;
    const begun = await this.shared.requests.begin(
      {
        name: this.file.name,
        size_bytes: this.file.size,
        modified_ms: this.file.lastModified,
        first_sha256: first,
        again: this.again,
        ...this.choice,
      },
      signal,
    );
    if (begun.status === "known") {
      this.known = begun.known;
      return undefined;
    }
    this.resumed = begun.status === "resumed" && begun.upload.parts.length > 0;
    return begun.upload;
  }

  /** Believe that the server has a part only where it is the same as here. */
  private async takeStored(upload: UploadWithParts, signal: AbortSignal): Promise<void> {
    this.stored.clear();
    for (const part of upload.parts) {
      const same =
        this.hashes.get(part.number) ??
        (await this.shared.reading.take(this.rank, signal, () => {
          this.set("checking");
          return this.hash(part.number, upload.part_bytes);
        }));
      if (same === part.sha256) {
        this.stored.set(part.number, part.size_bytes);
        this.shared.onChange();
      }
    }
  }

  private async sendMissing(upload: UploadWithParts, signal: AbortSignal): Promise<void> {
    const numbers = Array.from({ length: upload.parts_total }, (_, index) => index + 1);
    const missing = numbers.filter((number) => !this.stored.has(number));
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const sender = async () => {
      for (let number = missing.shift(); number !== undefined; number = missing.shift()) {
        await this.sendPart(upload, number, either);
      }
    };
    const senders = Array.from({ length: PARTS_AT_ONCE }, sender);
    try {
      await Promise.all(senders);
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(senders);
      throw error;
    }
  }

  private sendPart(upload: UploadWithParts, number: number, signal: AbortSignal): Promise<void> {
    return this.shared.sending.take(this.rank, signal, async () => {
      this.set("sending");
      const bytes = this.part(number, upload.part_bytes);
      const sha256 = this.hashes.get(number) ?? (await this.hash(number, upload.part_bytes));
      signal.throwIfAborted();
      const onSent = (sent: number) => {
        this.shared.speed.add(sent - (this.underWay.get(number) ?? 0));
        this.underWay.set(number, Math.min(sent, bytes.size));
        this.shared.onChange();
      };
      try {
        await this.shared.requests.send({ upload, number, bytes, sha256 }, onSent, signal);
      } finally {
        this.underWay.delete(number);
      }
      this.stored.set(number, bytes.size);
      this.failures = this.damaged = 0;
      this.problem = "";
      this.shared.onChange();
    });
  }

  private async hash(number: number, partBytes: number): Promise<string> {
    const sha256 = await sha256Hex(await this.part(number, partBytes).arrayBuffer());
    this.hashes.set(number, sha256);
    return sha256;
  }

  private part(number: number, partBytes: number): Blob {
    return this.file.slice((number - 1) * partBytes, number * partBytes);
  }

  private forget(): void {
    this.upload = undefined;
    this.stored.clear();
  }

  private set(state: State): void {
    if (state === "sending" || state === "checking" || state === "completing") {
      this.problem = "";
    }
    this.state = state;
    this.shared.onChange();
  }
}
