/** The copy of a video that every browser plays, made by a worker once somebody asks. */

import { fetchGood } from "../api.ts";

interface Copy {
  readonly state: "wanted" | "ready" | "failed";
  readonly frames_done: number;
  readonly reason: string | null;
}

const ASK_AGAIN_MS = 1500;

/** Asks for the copy and waits until it is there, telling how far it is. */
export async function copyOf(
  videoUrl: string,
  frames: number,
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<void> {
  for (let method = "POST"; ; method = "GET") {
    const copy: Copy = await (await fetchGood(`${videoUrl}/proxy`, { method, signal })).json();
    if (copy.state === "ready") {
      return;
    }
    if (copy.state === "failed") {
      throw new Error(`This browser cannot show the video: ${copy.reason}.`);
    }
    tell(`A copy that it can show is being made: ${Math.round((100 * copy.frames_done) / frames)} %.`);
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  }
}
