/** One video: played with its poses, frame by frame. */

import { useSignal } from "@preact/signals";
import { Frame } from "../frame.tsx";
import type { PageProps } from "../pages.ts";
import { includes } from "../session.ts";
import { Actions } from "./video/actions.tsx";
import { Runs } from "./video/runs.tsx";
import { Shares } from "./video/shares.tsx";
import { Tags } from "./video/tags.tsx";
import { type RunOfVideo, useVideoRuns, type VideoRuns } from "./video/video_runs.ts";
import { Viewer } from "./video/viewer.tsx";
import "./video.css";
import "./video/actions.css";
import "./video/clip.css";
import "./video/landscape.css";

export default function VideoPage({ params, team }: PageProps) {
  const videoUrl = `/api/v1/teams/${team?.id}/videos/${params.video}`;
  const { found, error, reload } = useVideoRuns(videoUrl);
  const chosen = useSignal<string | undefined>(undefined);
  if (!found) {
    return (
      <Frame title="Video" team={team} wide>
        <p role={error ? "alert" : "status"}>{error ?? "Loading the video…"}</p>
      </Frame>
    );
  }
  const run = found.runs.find(({ id }) => id === chosen.value) ?? found.runs.find(isWorthShowing) ?? found.runs[0];
  const refused = found.state === "rejected";
  const runs = !refused && <Runs runs={found.runs} chosen={run?.id} onChoose={(id) => (chosen.value = id)} />;
  return (
    <Frame title={found.name} team={team} actions={runs} wide>
      <article class="video-page">
        {(refused || found.reason) && (
          <p role="alert">
            {refused && <strong>This video cannot be analysed. </strong>}
            {found.reason}
          </p>
        )}
        {team && run && found.state === "ready" ? (
          <Viewer key={run.id} team={team} videoUrl={videoUrl} video={found} run={run} onTrouble={reload} />
        ) : (
          !refused && <p role="status">{whatIsMissing(found)}</p>
        )}
        {found.notes.length > 0 && (
          <ul class="video-notes">
            {found.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        )}
        {team && <Tags team={team} video={found} onChanged={reload} />}
        {team && includes(team.role, "coach") && <Shares team={team} video={found.id} />}
        {team && <Actions team={team} video={found} run={run} onChanged={reload} />}
      </article>
    </Frame>
  );
}

function isWorthShowing({ is_current, frames_done }: RunOfVideo): boolean {
  return is_current || frames_done > 0;
}

function whatIsMissing({ state, runs }: VideoRuns): string {
  if (state === "ready") {
    return "This video was not analysed yet.";
  }
  return runs.length > 0 ? "This video is being read; its frames appear here in a moment." : "This video is uploaded.";
}
