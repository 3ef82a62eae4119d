/** Another run, or another video, beside the one that is watched; both go on together from a pair of frames on. */

import { useEffect, useState } from "preact/hooks";
import { API, get, teamPath } from "../../api.ts";
import { useLoaded } from "../../parts.tsx";
import type { PlayerState } from "../../player/player_state.ts";
import { me, type Team } from "../../session.ts";
import { type Beside, beside } from "./address.ts";
import { inClock } from "./clock_text.ts";
import { FrameField } from "./frame_field.tsx";
import { useShown } from "./shown.ts";
import { Stage } from "./stage.tsx";
import { isOpen, type RunOfVideo, type VideoRuns } from "./video_runs.ts";

interface GoesAlongProps {
  readonly team: Team;
  readonly other: Beside;
  readonly main: PlayerState | undefined;
}

const BEGINS = () => () => undefined;

/** It shows the frame that is as far from its own frame of the pair as the main one is from the main one's. */
export function GoesAlong({ team, other, main }: GoesAlongProps) {
  const { later } = other;
  const videoPath = teamPath(team.id, "videos", other.video);
  const videoUrl = `${API}${videoPath}`;
  const { player, state, ...rest } = useShown(videoUrl, `${videoUrl}/runs/${other.run}`, BEGINS);
  const { value } = useLoaded(videoPath, (signal) => get<VideoRuns>(`${videoPath}/runs`, { signal }));
  const model = value && value.runs.length > 1 && value.runs.find(({ id }) => id === other.run)?.model;
  const name = [value?.name ?? "another video", model].filter(Boolean).join(", ");
  const time = main?.time;
  useEffect(() => {
    if (player && time !== undefined) {
      void player.seek(player.table.shownAt(time + later));
    }
  }, [player, time, later]);
  const detail = main?.detail;
  useEffect(() => {
    if (player && detail) {
      player.setDetail(detail);
    }
  }, [player, detail]);
  const step = (frames: number) => {
    if (player && state?.frame !== undefined && time !== undefined) {
      const frame = Math.min(player.table.frames - 1, Math.max(0, state.frame + frames));
      beside.value = { ...other, later: player.table.timeOf(frame) - time };
    }
  };
  return (
    <section class="beside" aria-label={`Beside: ${name}`}>
      <Stage {...rest} player={player} state={state} />
      <p class="position">
        <strong>{name}</strong>
        <span>
          Frame {state?.frame ?? "–"}, {state?.time === undefined ? "" : inClock(state.time)}
        </span>
        <button type="button" title="Shift this one by a frame" onClick={() => step(-1)}>
          One back
        </button>
        <button type="button" title="Shift this one by a frame" onClick={() => step(1)}>
          One on
        </button>
        <FrameField
          label="Align with its frame"
          frame={state?.frame}
          frames={player?.table.frames ?? 1}
          onFrame={(frame) => step(frame - (state?.frame ?? 0))}
        />
        <button
          type="button"
          onClick={() => {
            beside.value = undefined;
          }}
        >
          Close
        </button>
      </p>
    </section>
  );
}

interface ChooseProps {
  readonly team: Team;
  readonly video: VideoRuns;
  readonly run: RunOfVideo;
  readonly onChoose: (other: Beside) => void;
}

interface Found {
  readonly video_id: string;
  readonly name: string;
  readonly current_run_id: string | null;
}

/** The other runs of this video, and the team's other videos by name. */
export function ChooseBeside({ team, video, run, onChoose }: ChooseProps) {
  const member = me.value?.teams.some(({ id }) => id === team.id) ?? false;
  const [name, setName] = useState("");
  const [open, setOpen] = useState(false);
  const wanted = open && member ? `${team.id} ${name}` : "";
  const { value } = useLoaded(wanted, async (signal) =>
    wanted === ""
      ? undefined
      : get<{ items: Found[] }>(`${teamPath(team.id, "videos")}?limit=20&name=${encodeURIComponent(name)}`, { signal }),
  );
  const runs = video.runs
    .filter((each) => each.id !== run.id && (each.frames_done > 0 || !isOpen(each)))
    .map((each) => ({
      name: `${video.name}, ${each.model}${each.live ? ", live" : ""}`,
      video: video.id,
      run: each.id,
    }));
  const videos = (value?.items ?? []).flatMap(({ video_id, name, current_run_id }) =>
    current_run_id === null || current_run_id === run.id ? [] : [{ name, video: video_id, run: current_run_id }],
  );
  if (!member && runs.length === 0) {
    return null; // a link shows this video alone
  }
  const choices = [...runs, ...videos.filter(({ run }) => !runs.some((each) => each.run === run))];
  return (
    <details class="choose-beside" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Compare side by side</summary>
      {member && (
        <label>
          Search by name <input type="search" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
      )}
      {choices.length === 0 && <p role="status">Nothing else is analysed here yet.</p>}
      <ul class="downloads">
        {choices.map((choice) => (
          <li key={choice.run}>
            <button
              type="button"
              aria-pressed={choice.run === beside.value?.run}
              onClick={() => onChoose({ video: choice.video, run: choice.run, later: 0 })}
            >
              {choice.name}
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
