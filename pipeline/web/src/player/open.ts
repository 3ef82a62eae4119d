/** Opens a run's video by the surest way that this browser has. */

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
}

/** Fails with a line for people where the video cannot be shown here at all. */
export async function openPlayer({ videoUrl, runUrl, canvas, onState }: Opening): Promise<Player> {
  const answer = await fetch(`${runUrl}/times?v=${FORMAT}`);
  if (!answer.ok) {
    throw new Error(await reasonOf(answer));
  }
  const table = new FrameTable(await answer.arrayBuffer());
  if (table.frames === 0) {
    throw new Error("this video has no frames");
  }
  const footage = await openFootage(`${videoUrl}/media`, table);
  let player: Player | undefined;
  const store = new PoseStore(
    table,
    (segment) => `${runUrl}/poses/${segment}?v=${FORMAT}`,
    () => player?.repaint(),
  );
  player = new Player(canvas, table, footage, store, onState);
  return player;
}

async function openFootage(url: string, table: FrameTable): Promise<Footage> {
  if (table.header.indexed_by_position) {
    throw new Error("this video's times do not tell its frames apart, so no browser can show poses on it exactly");
  }
  try {
    return await DecodedVideo.open(url, table);
  } catch (error) {
    return await ElementVideo.open(url, table).catch(() => {
      throw error;
    });
  }
}

/** The line with the fix of a problem+json answer. */
async function reasonOf(answer: Response): Promise<string> {
  const problem = await answer.json().catch(() => undefined);
  return typeof problem?.detail === "string" ? problem.detail : `the server answered ${answer.status}`;
}
