/** A player in a canvas of the page. */

import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Again, lineOf } from "../../again.ts";
import { passes } from "../../api.ts";
import { openPlayer } from "../../player/open.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";

export interface Shown {
  readonly canvas: RefObject<HTMLCanvasElement | null>;
  /** Once it is open. */
  readonly player: Player | undefined;
  readonly state: PlayerState | undefined;
  /** Why it cannot be shown. */
  readonly error: string | undefined;
  /** What is waited for. */
  readonly waiting: string | undefined;
}

type Told = Omit<Shown, "canvas">;

const NOTHING: Told = { player: undefined, state: undefined, error: undefined, waiting: undefined };

/** Opens a run's video; `begin` is called with its player, and what it returns when that is closed. */
export function useShown(videoUrl: string, runUrl: string, begin: (player: Player) => () => void): Shown {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [told, setTold] = useState<Told>(NOTHING);
  const latest = useRef(begin);
  latest.current = begin;
  useEffect(() => {
    const closed = new AbortController();
    const again = new Again();
    let end: (() => void) | undefined;
    const tell = (more: Partial<Told>) => {
      if (!closed.signal.aborted) {
        setTold((before) => ({ ...before, ...more }));
      }
    };
    const open = async (into: HTMLCanvasElement) => {
      try {
        const player = await openPlayer({
          videoUrl,
          runUrl,
          canvas: into,
          signal: closed.signal,
          onState: (state) => tell({ state }),
          onWait: (waiting) => tell({ waiting }),
        });
        if (closed.signal.aborted) {
          player.dispose();
          return;
        }
        const stop = latest.current(player);
        end = () => {
          stop();
          player.dispose();
        };
        tell({ player, error: undefined });
      } catch (error) {
        tell({ error: lineOf(error) });
        if (passes(error) && !closed.signal.aborted) {
          again.later(() => void open(into));
        }
      }
    };
    if (canvas.current) {
      void open(canvas.current);
    }
    return () => {
      closed.abort();
      again.stop();
      end?.();
      setTold(NOTHING);
    };
  }, [videoUrl, runUrl]);
  return { canvas, ...told };
}
