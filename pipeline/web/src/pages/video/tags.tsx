/** A video's tags, which coaches change. */

import { useState } from "preact/hooks";
import { patch, teamPath } from "../../api.ts";
import { onSent, TextField } from "../../form.tsx";
import { Failure, useAction } from "../../parts.tsx";
import type { TagChanges, TaggedOut } from "../../schema.ts";
import { includes, me, type Team } from "../../session.ts";
import { tagOf } from "../../tags.ts";
import type { VideoRuns } from "./video_runs.ts";

interface TagsProps {
  readonly team: Team;
  readonly video: VideoRuns;
  readonly onChanged: () => void;
}

export function Tags({ team, video, onChanged }: TagsProps) {
  const [typed, setTyped] = useState("");
  const action = useAction();
  const tags = Object.entries(video.tags);
  const mayChange = includes(team.role, "coach");
  const member = me.value?.teams.some(({ id }) => id === team.id) ?? false;
  if (tags.length === 0 && !mayChange) {
    return null;
  }
  const send = async (changes: TagChanges["tags"]) => {
    await patch<TaggedOut>(teamPath(team.id, "videos", video.id), { tags: changes });
    onChanged();
  };
  const add = () =>
    action.run(async () => {
      await send(Object.fromEntries([tagOf(typed)]));
      setTyped("");
    });
  return (
    <section class="video-tags" aria-labelledby="tags-title">
      <h2 id="tags-title">Tags</h2>
      {tags.length > 0 && (
        <ul class="tags">
          {tags.map(([key, value]) => (
            <li key={key}>
              {member ? (
                <a href={`/t/${team.id}/videos?tags=${encodeURIComponent(`${key}=${value}`)}`}>
                  {key}={value}
                </a>
              ) : (
                <span>
                  {key}={value}
                </span>
              )}
              {mayChange && (
                <button
                  type="button"
                  class="quiet"
                  aria-label={`Remove the tag ${key}=${value}`}
                  disabled={action.busy}
                  onClick={() => void action.run(() => send({ [key]: null }))}
                >
                  ×
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {mayChange && (
        <form class="row" onSubmit={onSent(add)}>
          <TextField
            label="New tag"
            placeholder="season=2026"
            hint="Another value of the same key takes its place."
            required
            value={typed}
            onChange={setTyped}
          />
          <button type="submit" disabled={action.busy}>
            Add
          </button>
        </form>
      )}
      <Failure error={action.error} />
    </section>
  );
}
