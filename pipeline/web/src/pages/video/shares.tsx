/** Links with which anybody sees one video: made, listed and ended. */

import { useState } from "preact/hooks";
import { get, post, remove, teamPath } from "../../api.ts";
import { Failure, Field, Secret, Time, useAction, useLoaded } from "../../parts.tsx";
import type { Shares as ShareList, ShareMade } from "../../schema.ts";
import type { Team } from "../../session.ts";

const LIFETIMES = { 1: "for a day", 7: "for a week", 30: "for 30 days", 365: "for a year" } as const;

export function Shares({ team, video }: { team: Team; video: string }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="panel" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Share this video</summary>
      {open && <Links path={teamPath(team.id, "videos", video, "shares")} />}
    </details>
  );
}

function Links({ path }: { path: string }) {
  const links = useLoaded(path, (signal) => get<ShareList>(path, { signal }));
  const [days, setDays] = useState("7");
  const [url, setUrl] = useState<string>();
  const action = useAction();
  const make = async (event: Event) => {
    event.preventDefault();
    await action.run(async () => {
      const made = await post<ShareMade>(path, { expires_in_days: Number(days) });
      setUrl(made.url);
      await links.reload();
    });
  };
  const end = (id: string) =>
    action.run(async () => {
      await remove(`${path}/${id}`);
      setUrl(undefined);
      await links.reload();
    });
  return (
    <>
      <p>Whoever has the link sees this video with its poses, and nothing else of the team.</p>
      <form class="row" onSubmit={(event) => void make(event)}>
        <Field label="Works">
          <select value={days} onChange={(event) => setDays(event.currentTarget.value)}>
            {Object.entries(LIFETIMES).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </Field>
        <button type="submit" disabled={action.busy}>
          Make a link
        </button>
      </form>
      <Failure error={action.error ?? links.error} />
      {url && (
        <div role="status">
          <Secret label="Link, shown only now" value={url} />
        </div>
      )}
      {links.value && links.value.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Made by</th>
              <th scope="col">Until</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {links.value.items.map((link) => (
              <tr key={link.id}>
                <td>{link.created_by ?? "a program"}</td>
                <td data-label="Until">
                  <Time at={link.expires_at} />
                </td>
                <td class="end">
                  <button type="button" class="quiet" disabled={action.busy} onClick={() => void end(link.id)}>
                    End this link
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
