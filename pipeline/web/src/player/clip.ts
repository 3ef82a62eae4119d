/** Saves frames as a video, with their poses as they are drawn and their own times. */

import { endOf } from "./cut.ts";
import type { Player } from "./player.ts";

export interface ClipWanted {
  readonly first: number;
  readonly last: number;
  /** 0.25 makes it last four times as long. */
  readonly speed: number;
  readonly signal: AbortSignal;
  readonly onProgress: (frames: number) => void;
}

export interface Clip {
  readonly blob: Blob;
  /** Of the file's name, with its dot. */
  readonly suffix: string;
  /** For people. */
  readonly codec: string;
  /** Frames that are in it without poses because they are not analysed yet. */
  readonly toCome: number;
}

/** Shows one frame after the other and encodes what is drawn; fails with a line for people, or as `signal` is aborted. */
export async function saveClip(player: Player, { first, last, speed, signal, onProgress }: ClipWanted): Promise<Clip> {
  const { ClipFile } = await import("./clip_file.ts");
  const { table } = player;
  const before = player.state.frame;
  const seconds = (endOf(last, table) - table.timeOf(first)) / speed;
  const file = await ClipFile.open(player.canvas, {
    ticksPerSecond: table.header.time_base[1] / table.header.time_base[0],
    framesPerSecond: (last - first + 1) / seconds,
  });
  player.record(true);
  try {
    let toCome = 0;
    for (let frame = first; frame <= last; frame++) {
      signal.throwIfAborted();
      const { state } = await player.showWhole(frame);
      toCome += Number(state === "to come");
      const start = (table.timeOf(frame) - table.timeOf(first)) / speed;
      await file.add(start, (endOf(frame, table) - table.timeOf(frame)) / speed);
      onProgress(frame - first + 1);
    }
    return { blob: await file.finish(), suffix: file.suffix, codec: file.codec, toCome };
  } finally {
    file.close();
    player.record(false);
    void player.seek(before ?? first);
  }
}
