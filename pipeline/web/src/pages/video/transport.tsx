/** The controls under the picture. */

import type { Detail } from "../../player/overlay.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";
import { saveFile, stemOf } from "../../save_file.ts";
import { Clip } from "./clip.tsx";
import { inClock } from "./clock_text.ts";
import { CopyLink } from "./copy_link.tsx";
import { FrameField } from "./frame_field.tsx";
import { Icon } from "./icons.tsx";
import { playOrHasten, SPEEDS, togglePlaying } from "./keys.ts";

interface TransportProps {
  readonly player: Player;
  readonly state: PlayerState;
  /** Of the video. */
  readonly name: string;
}

const DETAILS: readonly (readonly [Detail, string])[] = [
  ["skeletons", "Skeletons"],
  ["joints", "Joints only"],
  ["nothing", "Nothing"],
];

export function Transport({ player, state, name }: TransportProps) {
  return (
    <div class="transport">
      <fieldset class="transport-keys">
        <legend class="hidden">Playing</legend>
        <button type="button" title="Play backward (J)" onClick={() => playOrHasten(player, -1)}>
          <Icon of="backward" />
          <span class="hidden">Play backward</span>
        </button>
        <button type="button" title="One frame back (←)" onClick={() => void player.step(-1)}>
          <Icon of="back" />
          <span class="hidden">One frame back</span>
        </button>
        <button type="button" class="primary" title="Play or pause (space)" onClick={() => togglePlaying(player)}>
          <Icon of={state.playing === 0 ? "play" : "pause"} />
          <span class="hidden">{state.playing === 0 ? "Play" : "Pause"}</span>
        </button>
        <button type="button" title="One frame on (→)" onClick={() => void player.step(1)}>
          <Icon of="on" />
          <span class="hidden">One frame on</span>
        </button>
        <button type="button" title="Play, faster each time (L)" onClick={() => playOrHasten(player, 1)}>
          <Icon of="forward" />
          <span class="hidden">Play faster</span>
        </button>
      </fieldset>
      <Position player={player} state={state} />
      <Clip player={player} state={state} name={name} />
      <div class="transport-options">
        <label>
          Speed{" "}
          <select value={String(state.speed)} onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}>
            {SPEEDS.map((speed) => (
              <option key={speed} value={String(speed)}>
                {speed}×
              </option>
            ))}
          </select>
        </label>
        <label>
          Show{" "}
          <select value={state.detail} onChange={(event) => player.setDetail(event.currentTarget.value as Detail)}>
            {DETAILS.map(([detail, name]) => (
              <option key={detail} value={detail}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Sound{" "}
          <input
            type="checkbox"
            checked={state.volume > 0}
            onChange={(event) => player.setVolume(event.currentTarget.checked ? 1 : 0)}
          />
        </label>
        <CopyLink player={player} frame={state.frame} />
        <button type="button" onClick={() => void savePicture(player, name)} disabled={state.frame === undefined}>
          Save picture
        </button>
      </div>
    </div>
  );
}

function Position({ player, state }: Omit<TransportProps, "name">) {
  return (
    <p class="position">
      <FrameField
        label="Frame"
        frame={state.frame}
        frames={player.table.frames}
        onFrame={(frame) => void player.seek(frame)}
      />{" "}
      of {player.table.frames}
      <output class="time">{state.time === undefined ? "" : inClock(state.time)}</output>
    </p>
  );
}

async function savePicture(player: Player, name: string): Promise<void> {
  const { frame } = player.state;
  saveFile(await inPng(player.canvas), `${stemOf(name)}-frame-${frame}.png`);
}

/** What is shown, with the skeletons on it. */
function inPng(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture could be made"))));
  });
}
