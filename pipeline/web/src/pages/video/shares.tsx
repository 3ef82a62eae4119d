/** Links with which anybody sees one video: made, listed and ended. */

import { useState } from "preact/hooks";
import { teamPath } from "../../api.ts";
import { useCollection } from "../../collection.ts";
import { ChoiceField, onSent } from "../../form.tsx";
import { Failure, Secret, Time } from "../../parts.tsx";
import type { ShareMade, ShareOut } from "../../schema.ts";
import type { Team } from "../../session.ts";

const LIFETIMES = { 1: "for a day", 7: "for a week", 30: "for 30 days", 365: "for a year" };

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
  const links = useCollection<ShareOut>(path);
  const [days, setDays] = useState("7");
  const [url, setUrl] = useState<string>();
  const make = async () => setUrl((await links.add<ShareMade>({ expires_in_days: Number(days) }))?.url);
  const end = async (id: string) => {
    if (await links.drop(id)) {
      setUrl(undefined);
    }
  };
  return (
    <>
      <p>Whoever has the link sees this video with its poses, and nothing else of the team.</p>
      <form class="row" onSubmit={onSent(make)}>
        <ChoiceField label="Works" value={days} options={LIFETIMES} onChange={setDays} />
        <button type="submit" disabled={links.busy}>
          Make a link
        </button>
      </form>
      <Failure error={links.error} />
      {url && (
        <div role="status">
          <Secret label="Link, shown only now" value={url} />
        </div>
      )}
      {links.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Made by</th>
              <th scope="col">Until</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {links.items.map((link) => (
              <tr key={link.id}>
                <td>{link.created_by ?? "a program"}</td>
                <td data-label="Until">
                  <Time at={link.expires_at} />
                </td>
                <td class="end">
                  <button type="button" class="quiet" disabled={links.busy} onClick={() => void end(link.id)}>
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
