/** The player with its controls, the timeline, and the people in view. */

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { messageOf } from "../../api.ts";
import { openPlayer } from "../../player/open.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";
import { frameOfAddress, keepFrameInAddress } from "./address.ts";
import { listenToKeys } from "./keys.ts";
import { People } from "./people.tsx";
import { Stage } from "./stage.tsx";
import { Timeline } from "./timeline.tsx";
import { Transport } from "./transport.tsx";
import type { RunOfVideo } from "./video_runs.ts";

interface ViewerProps {
  readonly videoUrl: string;
  readonly run: RunOfVideo;
}

export function Viewer({ videoUrl, run }: ViewerProps) {
  const runUrl = `${videoUrl}/runs/${run.id}`;
  const canvas = useRef<HTMLCanvasElement>(null);
  const player = useSignal<Player | undefined>(undefined);
  const state = useSignal<PlayerState | undefined>(undefined);
  const error = useSignal<string | undefined>(undefined);
  const waiting = useSignal<string | undefined>(undefined);
  useEffect(
    () =>
      canvas.current ? show({ videoUrl, runUrl, canvas: canvas.current, player, state, error, waiting }) : undefined,
    [videoUrl, runUrl, player, state, error, waiting],
  );
  return (
    <div class="viewer">
      <div class="viewer-main">
        <Stage canvas={canvas} player={player.value} state={state.value} error={error.value} waiting={waiting.value} />
        {player.value && state.value && (
          <>
            <Timeline runUrl={runUrl} player={player.value} frame={state.value.frame} />
            <Transport player={player.value} state={state.value} />
          </>
        )}
      </div>
      {player.value && state.value && <People player={player.value} state={state.value} />}
    </div>
  );
}

interface Showing {
  readonly videoUrl: string;
  readonly runUrl: string;
  readonly canvas: HTMLCanvasElement;
  readonly player: Signal<Player | undefined>;
  readonly state: Signal<PlayerState | undefined>;
  readonly error: Signal<string | undefined>;
  readonly waiting: Signal<string | undefined>;
}

/** Opens the player; returns what closes it. */
function show({ videoUrl, runUrl, canvas, player, state, error, waiting }: Showing): () => void {
  const closed = new AbortController();
  const ends: (() => void)[] = [];
  const open = async () => {
    try {
      const opened = await openPlayer({
        videoUrl,
        runUrl,
        canvas,
        signal: closed.signal,
        onState: (now) => {
          state.value = now;
        },
        onWait: (line) => {
          waiting.value = line;
        },
      });
      if (closed.signal.aborted) {
        opened.dispose();
        return;
      }
      ends.push(
        () => opened.dispose(),
        listenToKeys(opened),
        keepFrameInAddress(() => opened.state, opened),
      );
      player.value = opened;
      await opened.seek(frameOfAddress() ?? 0);
    } catch (reason) {
      if (!closed.signal.aborted) {
        error.value = messageOf(reason);
      }
    }
  };
  void open();
  return () => {
    closed.abort();
    player.value = undefined;
    for (const end of ends) {
      end();
    }
  };
}
