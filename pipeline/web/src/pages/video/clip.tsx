/** Cuts a clip out of the video: from one frame to another, saved as a file with what is drawn. */

import { useEffect, useRef, useState } from "preact/hooks";
import { messageOf } from "../../api.ts";
import { saveClip } from "../../player/clip.ts";
import { LONGEST_S, lengthOf } from "../../player/cut.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";
import { saveFile, stemOf } from "../../save_file.ts";

interface ClipProps {
  readonly player: Player;
  readonly state: PlayerState;
  /** Of the video. */
  readonly name: string;
}

const SPEEDS = [
  [1, "as it was"],
  [0.5, "half as fast"],
  [0.25, "a quarter as fast"],
] as const;

export function Clip({ player, state, name }: ClipProps) {
  const { first, last } = state.cut;
  const seconds = lengthOf(state.cut, player.table);
  const [speed, setSpeed] = useState(1);
  const saving = useSaving(player, name);
  const frames = first === undefined || last === undefined ? undefined : last - first + 1;
  const tooLong = seconds !== undefined && seconds > LONGEST_S;
  return (
    <fieldset class="clip">
      <legend class="hidden">Clip</legend>
      <button type="button" title="A clip begins with this frame (I)" onClick={() => player.mark("first")}>
        Clip from here
      </button>
      <button type="button" title="A clip ends with this frame (O)" onClick={() => player.mark("last")}>
        to here
      </button>
      {(first !== undefined || last !== undefined) && (
        <>
          <span>
            {first ?? "…"} to {last ?? "…"}
            {seconds !== undefined && `, ${seconds.toFixed(2)} s`}
          </span>
          <label>
            Plays{" "}
            <select value={String(speed)} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
              {SPEEDS.map(([value, label]) => (
                <option key={value} value={String(value)}>
                  {label}
                </option>
              ))}
            </select>
          </label>
          <button
            type="button"
            disabled={frames === undefined || tooLong}
            onClick={() => first !== undefined && last !== undefined && saving.start(first, last, speed)}
          >
            Save clip
          </button>
          <button type="button" onClick={() => player.mark(undefined)}>
            No clip
          </button>
        </>
      )}
      {tooLong && <p role="status">A clip is {LONGEST_S} s long at most; let it begin later or end sooner.</p>}
      {saving.error && <p role="alert">{saving.error}</p>}
      {saving.said && <p role="status">{saving.said}</p>}
      {saving.done !== undefined && frames !== undefined && (
        <Saving done={saving.done} frames={frames} onCancel={saving.cancel} />
      )}
    </fieldset>
  );
}

interface Saved {
  /** Frames so far; undefined where nothing is being saved. */
  readonly done?: number;
  readonly error?: string;
  readonly said?: string;
}

function useSaving(player: Player, name: string) {
  const [saved, setSaved] = useState<Saved>({});
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);
  const start = async (first: number, last: number, speed: number) => {
    const controller = new AbortController();
    const { signal } = controller;
    running.current = controller;
    setSaved({ done: 0 });
    try {
      const onProgress = (done: number) => setSaved({ done });
      const clip = await saveClip(player, { first, last, speed, signal, onProgress });
      const file = `${stemOf(name)}-${first}-to-${last}${speed === 1 ? "" : `-at-${speed}`}${clip.suffix}`;
      saveFile(clip.blob, file);
      const without = clip.toCome > 0 ? `; ${clip.toCome} frames in it were not analysed yet` : "";
      setSaved({ said: `Saved ${file}: ${clip.codec}, ${inMegabytes(clip.blob.size)}, without sound${without}.` });
    } catch (error) {
      setSaved(signal.aborted ? { said: "No clip was saved." } : { error: messageOf(error) });
    }
  };
  return {
    ...saved,
    start: (first: number, last: number, speed: number) => void start(first, last, speed),
    cancel: () => running.current?.abort(),
  };
}

function Saving({ done, frames, onCancel }: { done: number; frames: number; onCancel: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="saving" aria-labelledby="saving-title" onCancel={onCancel}>
      <h2 id="saving-title">Saving the clip</h2>
      <progress value={done} max={frames} aria-labelledby="saving-title" />
      <span>
        Frame {done} of {frames}
      </span>
      <button type="button" onClick={onCancel}>
        Cancel
      </button>
    </dialog>
  );
}

function inMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 1)} MB`;
}
