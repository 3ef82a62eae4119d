import { useState } from "preact/hooks";
import { teamPath } from "../api.ts";
import { useCollection } from "../collection.ts";
import { ChoiceField, onSent, TextField } from "../form.tsx";
import { Failure, Secret, Time } from "../parts.tsx";
import type { KeyMade, KeyOut } from "../schema.ts";
import type { Team } from "../session.ts";

const SCOPES = { coach: "coach: reads and writes", viewer: "viewer: reads" };
const LIFETIMES = { "": "until revoked", 30: "for 30 days", 365: "for a year" };

/** Keys of programs, such as `poseline login` on another machine. */
export function Keys({ team }: { team: Team }) {
  const keys = useCollection<KeyOut>(teamPath(team.id, "keys"));
  const [name, setName] = useState("");
  const [role, setRole] = useState<keyof typeof SCOPES>("coach");
  const [days, setDays] = useState("365");
  const [secret, setSecret] = useState<string>();
  const make = async () => {
    const made = await keys.add<KeyMade>({ name, role, expires_in_days: days ? Number(days) : null });
    if (made) {
      setSecret(made.key);
      setName("");
    }
  };
  const revoke = (key: KeyOut) => {
    if (window.confirm(`Revoke ${key.name}? What uses it stops at once.`)) {
      void keys.drop(key.id);
    }
  };
  return (
    <section aria-labelledby="keys">
      <h2 id="keys">Keys for programs</h2>
      <form class="row" onSubmit={onSent(make)}>
        <TextField label="Name" required maxLength={100} placeholder="camera laptop" value={name} onChange={setName} />
        <ChoiceField label="Scope" value={role} options={SCOPES} onChange={setRole} />
        <ChoiceField label="Works" value={days} options={LIFETIMES} onChange={setDays} />
        <button type="submit" disabled={keys.busy}>
          Make a key
        </button>
      </form>
      <Failure error={keys.error} />
      {secret && (
        <div class="panel" role="status">
          <p>Keep this key where the program finds it. It is shown only now.</p>
          <Secret label="Key" value={secret} />
        </div>
      )}
      {keys.items.length > 0 && (
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
            {keys.items.map((key) => (
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
                    disabled={keys.busy}
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
