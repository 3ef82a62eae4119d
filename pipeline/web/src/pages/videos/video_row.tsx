/** One video of the list. */

import { API, teamPath } from "../../api.ts";
import { Time } from "../../parts.tsx";
import type { VideoOut } from "../../schema.ts";
import { inTime, tell, tellPeople } from "../../told.ts";

export function VideoRow({ team, video }: { team: string; video: VideoOut }) {
  const told = tell(video);
  const people = tellPeople(video.run?.most_people);
  const tags = Object.entries(video.tags);
  return (
    <li class="video">
      <div class="picture">
        {video.frames !== null && (
          <img
            src={`${API}${teamPath(team, "videos", video.video_id, "thumbnail")}?of=${video.current_run_id ?? "video"}`}
            alt=""
            loading="lazy"
          />
        )}
      </div>
      <div class="what">
        <a href={`/t/${team}/videos/${video.video_id}`}>{video.name}</a>
        <div class="soft about">
          <Time at={video.created_at} />
          {video.video_s !== null && <span>{inTime(video.video_s)}</span>}
          {people && <span>{people}</span>}
          {video.models.map((model) => (
            <span key={model}>{model}</span>
          ))}
        </div>
        {tags.length > 0 && (
          <ul class="tags" aria-label="Tags">
            {tags.map(([key, value]) => (
              <li key={key}>
                <a href={`/t/${team}/videos?tags=${encodeURIComponent(`${key}=${value}`)}`}>
                  {key}={value}
                </a>
              </li>
            ))}
          </ul>
        )}
      </div>
      <div class={`state ${told.kind}`}>
        <span>{told.words}</span>
        {told.done !== undefined && (
          <progress value={told.done} max={1} aria-label={`How much of ${video.name} is analysed`} />
        )}
        {told.kind === "bad" && video.reason && <small>{video.reason}</small>}
      </div>
    </li>
  );
}
