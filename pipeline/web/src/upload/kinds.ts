import type { UploadRequests } from "./requests.ts";
import type { Speed } from "./speed.ts";
import type { Turns } from "./waiting.ts";

/**
 * `known`: it waits for an answer, because a video like it is here. `waiting`: for its turn. `retrying`: something that
 * passes is in the way, as `problem` says.
 */
export type State =
  | "waiting"
  | "checking"
  | "known"
  | "sending"
  | "retrying"
  | "paused"
  | "completing"
  | "done"
  | "failed"
  | "cancelling"
  | "cancelled";

/** What the files of one page share. */
export interface Shared {
  readonly requests: UploadRequests;
  /** For being under way on the server: a browser that is closed leaves no more than these behind. */
  readonly opening: Turns;
  /** For reading a file's beginning, and parts that are to be compared. */
  readonly reading: Turns;
  /** For sending parts. */
  readonly sending: Turns;
  readonly speed: Speed;
  readonly partBytes: (size: number) => Promise<number>;
  readonly onChange: () => void;
}

export interface Choice {
  readonly tags: Readonly<Record<string, string>>;
  readonly model?: string;
}
