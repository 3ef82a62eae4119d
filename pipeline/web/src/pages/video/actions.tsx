/** What can be done with a video beside watching it: download, analyse again, delete. */

import { useState } from "preact/hooks";
import { get, post, remove, teamPath } from "../../api.ts";
import { Field } from "../../form.tsx";
import { Failure, useAction, useLoaded } from "../../parts.tsx";
import { navigate } from "../../router.ts";
import type { RequestOut } from "../../schema.ts";
import { includes, me, type Team } from "../../session.ts";
import { Downloads } from "./downloads.tsx";
import { isOpen, type RunOfVideo, type VideoRuns } from "./video_runs.ts";

interface ActionsProps {
  readonly team: Team;
  readonly video: VideoRuns;
  readonly run: RunOfVideo | undefined;
  readonly onChanged: () => void;
}

/** Nothing for who came by a link to this one video: it is there to be watched. */
export function Actions({ team, video, run, onChanged }: ActionsProps) {
  if (!me.value?.teams.some(({ id }) => id === team.id)) {
    return null;
  }
  const coach = includes(team.role, "coach");
  return (
    <div class="actions">
      {run && <Downloads team={team} video={video} run={run} />}
      {coach && run && run.state !== "done" && video.state !== "rejected" && (
        <OpenOrFailed team={team} run={run} onChanged={onChanged} />
      )}
      {coach && video.state === "ready" && <Again team={team} video={video} onChanged={onChanged} />}
      {coach && <Delete team={team} video={video} />}
    </div>
  );
}

function OpenOrFailed({ team, run, onChanged }: { team: Team; run: RunOfVideo; onChanged: () => void }) {
  const action = useAction();
  const what = isOpen(run) ? "cancel" : "retry";
  const act = async () => {
    if (await action.run(() => post(teamPath(team.id, "runs", run.id, what)))) {
      onChanged();
    }
  };
  return (
    <section>
      <button type="button" disabled={action.busy} onClick={() => void act()}>
        {isOpen(run) ? "Cancel this analysis" : "Try again"}
      </button>
      <Failure error={action.error} />
    </section>
  );
}

interface Model {
  readonly name: string;
  readonly for_whom: string | null;
  readonly on_this_machine: boolean;
}

function Again({ team, video, onChanged }: { team: Team; video: VideoRuns; onChanged: () => void }) {
  const { value } = useLoaded("models", (signal) => get<{ items: Model[] }>("/models", { signal }));
  const [chosen, setChosen] = useState<string>();
  const [there, setThere] = useState(false);
  const action = useAction();
  const models = (value?.items ?? []).filter(({ on_this_machine }) => on_this_machine);
  const model = chosen ?? models[0]?.name;
  if (!model) {
    return null;
  }
  const ask = async () => {
    setThere(false);
    const wanted = { video_id: video.id, model };
    await action.run(async () => setThere((await post<RequestOut>(teamPath(team.id, "runs"), wanted)).existed));
    onChanged();
  };
  return (
    <section aria-labelledby="again">
      <h2 id="again">Analyse again</h2>
      <div class="again">
        <Field label="Model">
          <select value={model} onChange={(event) => setChosen(event.currentTarget.value)}>
            {models.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </Field>
        <button type="button" disabled={action.busy} onClick={() => void ask()}>
          Analyse
        </button>
      </div>
      <p class="hint">{models.find(({ name }) => name === model)?.for_whom}</p>
      {there && <p role="status">This model has analysed the video already; again it would find the same.</p>}
      <Failure error={action.error} />
    </section>
  );
}

function Delete({ team, video }: { readonly team: Team; readonly video: VideoRuns }) {
  const [typed, setTyped] = useState("");
  const action = useAction();
  const act = async () => {
    if (await action.run(() => remove(teamPath(team.id, "videos", video.id), undefined, { confirm: typed }))) {
      navigate(`/t/${team.id}/videos`);
    }
  };
  return (
    <details class="delete">
      <summary>Delete this video</summary>
      <p>It is erased for good, with its poses, its exports and every upload of the same content.</p>
      <Field label={`Type ${video.name} to confirm`}>
        <input value={typed} autoComplete="off" onInput={(event) => setTyped(event.currentTarget.value)} />
      </Field>
      <button type="button" disabled={typed !== video.name || action.busy} onClick={() => void act()}>
        Delete for good
      </button>
      <Failure error={action.error} />
    </details>
  );
}
