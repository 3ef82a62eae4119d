import { useState } from "preact/hooks";
import { get, post, remove, teamPath } from "../api.ts";
import { Failure, Field, Secret, Time, useAction, useLoaded } from "../parts.tsx";
import type { Keys as KeyList, KeyMade, KeyOut } from "../schema.ts";
import type { Team } from "../session.ts";

const LIFETIMES = { "": "until revoked", 30: "for 30 days", 365: "for a year" } as const;

/** Keys of programs, such as `poseline login` on another machine. */
export function Keys({ team }: { team: Team }) {
  const path = teamPath(team.id, "keys");
  const keys = useLoaded(team.id, (signal) => get<KeyList>(path, { signal }));
  const [name, setName] = useState("");
  const [role, setRole] = useState("coach");
  const [days, setDays] = useState("365");
  const [secret, setSecret] = useState<string>();
  const action = useAction();
  const make = async (event: Event) => {
    event.preventDefault();
    await action.run(async () => {
      const made = await post<KeyMade>(path, { name, role, expires_in_days: days ? Number(days) : null });
      setSecret(made.key);
      setName("");
      await keys.reload();
    });
  };
  const revoke = (key: KeyOut) => {
    if (window.confirm(`Revoke ${key.name}? What uses it stops at once.`)) {
      void action.run(async () => {
        await remove(`${path}/${key.id}`);
        await keys.reload();
      });
    }
  };
  return (
    <section aria-labelledby="keys">
      <h2 id="keys">Keys for programs</h2>
      <form class="row" onSubmit={(event) => void make(event)}>
        <Field label="Name">
          <input
            required
            maxLength={100}
            placeholder="camera laptop"
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </Field>
        <Field label="Scope">
          <select value={role} onChange={(event) => setRole(event.currentTarget.value)}>
            <option value="coach">coach: reads and writes</option>
            <option value="viewer">viewer: reads</option>
          </select>
        </Field>
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
          Make a key
        </button>
      </form>
      <Failure error={action.error ?? keys.error} />
      {secret && (
        <div class="panel" role="status">
          <p>Keep this key where the program finds it. It is shown only now.</p>
          <Secret label="Key" value={secret} />
        </div>
      )}
      {keys.value && keys.value.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">Scope</th>
              <th scope="col">Last used</th>
              <th scope="col">Until</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {keys.value.items.map((key) => (
              <tr key={key.id}>
                <th scope="row">
                  {key.name} <code class="soft">{key.prefix}…</code>
                </th>
                <td data-label="Scope">{key.role}</td>
                <td data-label="Last used">{key.last_used_at ? <Time at={key.last_used_at} /> : "never"}</td>
                <td data-label="Until">{key.expires_at ? <Time at={key.expires_at} /> : "it is revoked"}</td>
                <td class="end">
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Revoke ${key.name}`}
                    disabled={action.busy}
                    onClick={() => revoke(key)}
                  >
                    Revoke
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
