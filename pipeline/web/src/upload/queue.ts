/** All files that are on their way to one team, in the order in which they were picked. */

import type { Room } from "../schema.ts";
import { FileUpload } from "./file_upload.ts";
import type { Choice, Shared } from "./kinds.ts";
import { type Outcome, type Outcomes, outcomesOf } from "./outcomes.ts";
import { UploadRequests } from "./requests.ts";
import { Speed } from "./speed.ts";
import { Turns } from "./waiting.ts";

const FILES_AT_ONCE = 4;
const PARTS_AT_ONCE = 3;
const READ_AT_ONCE = 2;
const MIB = 2 ** 20;
const MOST_PARTS = 9000;

/** How large the parts of a file are; the server says the usual size. */
export function partBytesFor(size: number, usual: number): number {
  return Math.max(usual, Math.ceil(Math.ceil(size / MOST_PARTS) / MIB) * MIB);
}

export class UploadQueue {
  readonly requests: UploadRequests;
  private readonly speed = new Speed();
  /** What becomes of what was sent. */
  readonly outcomes: Outcomes;
  /** Called whenever something has changed. */
  onChange: () => void = () => undefined;

  private all: FileUpload[] = [];
  private rank = 0;
  private room: Promise<Room> | undefined;
  private readonly shared: Shared;

  constructor(team: string) {
    this.requests = new UploadRequests(team);
    this.outcomes = outcomesOf(team, () => this.onChange());
    this.shared = {
      requests: this.requests,
      speed: this.speed,
      opening: new Turns(FILES_AT_ONCE),
      reading: new Turns(READ_AT_ONCE),
      sending: new Turns(PARTS_AT_ONCE),
      partBytes: async (size) => partBytesFor(size, (await this.askRoom()).part_bytes),
      onChange: () => this.onChange(),
    };
  }

  get files(): readonly FileUpload[] {
    return this.all;
  }

  get isUnderWay(): boolean {
    return this.all.some((each) => each.isUnderWay);
  }

  /** The videos that are sent, and of which more is to come. */
  get sentVideos(): readonly string[] {
    return this.all.flatMap(({ completed }) => (completed && !completed.problem ? [completed.video_id] : []));
  }

  outcomeOf({ completed }: FileUpload): Outcome | undefined {
    return completed && this.outcomes.of(completed.video_id);
  }

  /** Bytes a second; undefined where that is not known, or nothing is being sent. */
  get bytesPerS(): number | undefined {
    return this.all.some(({ state }) => state === "sending") ? this.speed.bytesPerS : undefined;
  }

  /** Bytes that are still to be sent, of the files that are under way. */
  get bytesLeft(): number {
    return this.all.reduce((sum, each) => sum + (each.isUnderWay ? each.file.size - each.sentBytes : 0), 0);
  }

  /** Seconds until this file is sent: those before it go first. */
  secondsLeft(upTo: FileUpload): number | undefined {
    const before = this.all.slice(0, this.all.indexOf(upTo) + 1).filter((each) => each.isUnderWay);
    return this.inSeconds(before.reduce((sum, each) => sum + each.file.size - each.sentBytes, 0));
  }

  /** Seconds until all is sent. */
  get allSecondsLeft(): number | undefined {
    return this.inSeconds(this.bytesLeft);
  }

  /** Begin to send files. One that is there already goes on, if it was stopped. */
  add(files: readonly File[], choice: Choice): void {
    for (const file of files) {
      const there = this.all.find((each) => isSame(each.file, file) && each.state !== "cancelled");
      if (there) {
        if (there.state === "paused" || there.state === "failed") {
          this.replace(there, file, choice);
        }
        continue;
      }
      const upload = new FileUpload(file, this.rank++, choice, this.shared);
      this.all = [...this.all, upload];
      upload.start();
    }
    this.onChange();
  }

  /** Take a file off the list. */
  drop(upload: FileUpload): void {
    this.all = this.all.filter((each) => each !== upload);
    this.onChange();
  }

  /** What the server takes; asked once, and again after it could not be asked. */
  askRoom(): Promise<Room> {
    this.room ??= this.requests.list().then(
      (answer) => answer.room,
      (error: unknown) => {
        this.room = undefined;
        throw error;
      },
    );
    return this.room;
  }

  private replace(there: FileUpload, file: File, choice: Choice): void {
    const upload = new FileUpload(file, this.rank++, choice, this.shared);
    this.all = this.all.map((each) => (each === there ? upload : each));
    upload.start();
  }

  private inSeconds(bytes: number): number | undefined {
    const speed = this.bytesPerS;
    return speed && bytes > 0 ? bytes / speed : undefined;
  }
}

function isSame(one: File, other: File): boolean {
  return one.name === other.name && one.size === other.size && one.lastModified === other.lastModified;
}
