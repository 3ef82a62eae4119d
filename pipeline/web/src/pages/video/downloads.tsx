/** A run's files: those that are written at once, and pictures that are drawn first. */

import { useEffect, useRef, useState } from "preact/hooks";
import { API, getFile, teamPath } from "../../api.ts";
import { Failure, useAction } from "../../parts.tsx";
import { saveFile, stemOf } from "../../save_file.ts";
import type { Team } from "../../session.ts";
import { isOpen, type RunOfVideo, type VideoRuns } from "./video_runs.ts";

interface DownloadsProps {
  readonly team: Team;
  readonly video: VideoRuns;
  readonly run: RunOfVideo;
}

const FILES = [
  ["exports/csv", "CSV"],
  ["exports/parquet", "Parquet"],
  ["exports/jsonl", "JSON Lines"],
  ["exports/metadata.json", "About the run"],
] as const;

const DRAWN = [
  ["video.mp4", "Video with skeletons"],
  ["sheet.png", "Contact sheet"],
] as const;

export function Downloads({ team, video, run }: DownloadsProps) {
  const [drawing, setDrawing] = useState<string>();
  const action = useAction();
  const given = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => given.current?.abort(), []);
  if (isOpen(run) || run.frames_done === 0) {
    return null;
  }
  const path = teamPath(team.id, "runs", run.id);
  const draw = async (file: string, name: string) => {
    const own = new AbortController();
    given.current = own;
    setDrawing(name);
    await action.run(async () => {
      try {
        const blob = await getFile(`${path}/previews/${file}`, { signal: own.signal });
        saveFile(blob, `${stemOf(video.name)}.preview.${file.split(".")[1]}`);
      } catch (error) {
        if (!own.signal.aborted) {
          throw error;
        }
      }
    });
    setDrawing(undefined);
  };
  return (
    <section aria-labelledby="downloads">
      <h2 id="downloads">Downloads</h2>
      <ul class="downloads">
        {FILES.map(([file, name]) => (
          <li key={file}>
            <a class="button" download href={`${API}${path}/${file}`}>
              {name}
            </a>
          </li>
        ))}
        {DRAWN.map(([file, name]) => (
          <li key={file}>
            <button type="button" disabled={action.busy} onClick={() => void draw(file, name)}>
              {name}
            </button>
          </li>
        ))}
      </ul>
      <p role="status" class="hint">
        {drawing &&
          `${drawing} is being drawn, which takes about as long as the video, longer while the server is busy, and is saved then. Stay on this page.`}
      </p>
      {drawing && (
        <button type="button" onClick={() => given.current?.abort()}>
          Cancel
        </button>
      )}
      <Failure error={action.error} />
    </section>
  );
}
