/** Opens a run's video by the surest way that this browser has. */

import { fetchGood, messageOf, passes } from "../api.ts";
import { copyOf } from "./copy.ts";
import { DecodedVideo } from "./decoded_video.ts";
import { ElementVideo } from "./element_video.ts";
import { FrameTable } from "./frame_table.ts";
import type { Footage } from "./picture.ts";
import { Player } from "./player.ts";
import type { PlayerState } from "./player_state.ts";
import { PoseStore } from "./pose_store.ts";

/** Raised with the packed answers' format, so that a browser does not take an older one out of its cache. */
const FORMAT = 1;

export interface Opening {
  /** Of the video and of the run, without a slash at the end. */
  readonly videoUrl: string;
  readonly runUrl: string;
  readonly canvas: HTMLCanvasElement;
  readonly onState: (state: PlayerState) => void;
  /** Told what is waited for, a line for people. */
  readonly onWait: (line: string) => void;
  readonly signal: AbortSignal;
}

interface Opened {
  readonly footage: Footage;
  readonly table: FrameTable;
}

/** Fails with a line for people where the video cannot be shown here at all. */
export async function openPlayer(opening: Opening): Promise<Player> {
  const { runUrl, canvas, onState, signal } = opening;
  const answer = await fetchGood(`${runUrl}/times?v=${FORMAT}`, { signal });
  const { footage, table } = await openFootage(await answer.arrayBuffer(), opening);
  let player: Player | undefined;
  const store = new PoseStore(
    table,
    (segment) => `${runUrl}/poses/${segment}?v=${FORMAT}`,
    () => player?.paint(),
  );
  player = new Player(canvas, table, footage, store, onState);
  return player;
}

/** The video itself where this browser decodes or plays it, else the copy that workers make for browsers. */
async function openFootage(times: ArrayBuffer, { videoUrl, onWait, signal }: Opening): Promise<Opened> {
  const table = new FrameTable(times);
  if (table.frames === 0) {
    throw new Error("This video has no frames.");
  }
  const url = `${videoUrl}/media`;
  let reason = "its times do not tell its frames apart";
  if (!table.header.indexed_by_position) {
    try {
      return { table, footage: await DecodedVideo.open(url, table) };
    } catch (error) {
      if (passes(error)) {
        throw error;
      }
      reason = messageOf(error);
    }
    const footage = await ElementVideo.open(url, table).catch(() => undefined);
    // A copy can be decoded, which is sure; without WebCodecs it would be guessed at like the video itself.
    if (footage && (footage.certainty === "presented" || !("VideoDecoder" in window))) {
      return { table, footage };
    }
    footage?.dispose();
  }
  await copyOf(videoUrl, table.frames, signal, (state) =>
    onWait(`${state} This browser cannot show the video: ${reason}.`),
  );
  const copyTable = new FrameTable(times, true);
  const copyUrl = `${videoUrl}/proxy/media`;
  const footage = await DecodedVideo.open(copyUrl, copyTable).catch((error: unknown) => {
    if (passes(error)) {
      throw error;
    }
    return ElementVideo.open(copyUrl, copyTable);
  });
  return { table: copyTable, footage };
}
