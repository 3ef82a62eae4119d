import { useCallback, useEffect, useState } from "preact/hooks";
import { get, teamPath } from "../api.ts";
import { Failure, Time, useAction } from "../parts.tsx";
import type { AuditEntry, AuditPage } from "../schema.ts";
import type { Team } from "../session.ts";

/** Ids say nothing to people, and those of what was erased nothing to anybody. */
function subjectOf({ subject, video }: AuditEntry): string {
  const named = video ?? (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(subject) ? "" : subject);
  return named && `: ${named}`;
}

/** Who did what in the team, the newest first. */
export function Audit({ team }: { team: Team }) {
  const [pages, setPages] = useState<readonly AuditPage[]>([]);
  const action = useAction();
  const { run } = action;
  const read = useCallback(
    (after: string | null) =>
      run(async () => {
        const query = after === null ? "" : `&after=${after}`;
        const page = await get<AuditPage>(`${teamPath(team.id, "audit")}?limit=20${query}`);
        setPages((before) => (after === null ? [page] : [...before, page]));
      }),
    [team.id, run],
  );
  useEffect(() => {
    void read(null);
  }, [read]);
  const next = pages.at(-1)?.next ?? null;
  return (
    <section aria-labelledby="log">
      <h2 id="log">Who did what</h2>
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">What</th>
          </tr>
        </thead>
        <tbody>
          {pages
            .flatMap((page) => page.items)
            .map((entry, index) => (
              <tr key={`${entry.at} ${index}`}>
                <td>
                  <Time at={entry.at} />
                </td>
                <td>{entry.actor}</td>
                <td>
                  {entry.action.replaceAll("_", " ")}
                  {subjectOf(entry)}
                  {typeof entry.detail.role === "string" && ` (${entry.detail.role})`}
                  {typeof entry.detail.through === "string" && ` (${entry.detail.through})`}
                </td>
              </tr>
            ))}
        </tbody>
      </table>
      <Failure error={action.error} />
      {next !== null && (
        <button type="button" disabled={action.busy} onClick={() => void read(next)}>
          Show older
        </button>
      )}
    </section>
  );
}
