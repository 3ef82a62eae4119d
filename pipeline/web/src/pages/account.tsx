import { useState } from "preact/hooks";
import { patch, post } from "../api.ts";
import { type Collection, useCollection } from "../collection.ts";
import { onSent, TextField } from "../form.tsx";
import { Frame } from "../frame.tsx";
import { loadOwnAccount } from "../own_account.ts";
import { Failure, Time, useAction, useLoaded } from "../parts.tsx";
import { navigate } from "../router.ts";
import type { AccountOut, SessionOut } from "../schema.ts";
import { loadMe, me, signOut, type Team } from "../session.ts";
import { isFree, Password, ProveIt } from "./account_password.tsx";
import { Provider } from "./account_provider.tsx";

/** One's own name, address, password, sessions and teams. */
export default function AccountPage() {
  const account = useLoaded("account", loadOwnAccount);
  const sessions = useCollection<SessionOut>("/account/sessions");
  return (
    <Frame
      title="Your account"
      actions={
        <button type="button" onClick={() => void signOut()}>
          Sign out
        </button>
      }
    >
      <Failure error={account.error} />
      {account.value && (
        <>
          {!account.value.has_password && !account.value.provider && (
            <p role="alert">Your account has no password yet. Choose one, or this browser is your only way in.</p>
          )}
          <ProveIt account={account.value} />
          <Name key={`${account.value.name} ${account.value.email}`} account={account.value} onDone={account.reload} />
          <Password
            account={account.value}
            onDone={async () => {
              await Promise.all([account.reload(), sessions.reload()]);
            }}
          />
        </>
      )}
      {account.value && me.value?.provider && (
        <Provider
          account={account.value}
          name={me.value.provider}
          onDone={async () => {
            await Promise.all([account.reload(), sessions.reload()]);
          }}
        />
      )}
      <Teams />
      <Sessions sessions={sessions} />
      <p class="soft">
        <a href="/browser">What this browser can do</a>
      </p>
    </Frame>
  );
}

interface FormProps {
  readonly account: AccountOut;
  readonly onDone: () => Promise<void>;
}

function Name({ account, onDone }: FormProps) {
  const [name, setName] = useState(account.name);
  const [email, setEmail] = useState(account.email);
  const [password, setPassword] = useState("");
  const action = useAction();
  const moves = email.trim().toLowerCase() !== account.email;
  const submit = async () => {
    const change = { name, ...(moves ? { email, password } : {}) };
    if (await action.run(() => patch("/account", change))) {
      await Promise.all([onDone(), loadMe()]);
    }
  };
  return (
    <section aria-labelledby="who">
      <h2 id="who">Name and address</h2>
      <form class="stack" onSubmit={onSent(submit)}>
        <TextField label="Name" autocomplete="name" required maxLength={100} value={name} onChange={setName} />
        <TextField
          label="E-mail address"
          type="email"
          autocomplete="username"
          required
          disabled={!isFree(account)}
          value={email}
          onChange={setEmail}
        />
        {moves && account.has_password && (
          <TextField
            label="Password, to change the address"
            type="password"
            autocomplete="current-password"
            required
            value={password}
            onChange={setPassword}
          />
        )}
        <Failure error={action.error} />
        <button type="submit" disabled={action.busy || (name === account.name && !moves)}>
          Save
        </button>
      </form>
    </section>
  );
}

function Teams() {
  const teams = me.value?.teams ?? [];
  const [name, setName] = useState("");
  const action = useAction();
  const leave = async (team: Team) => {
    if (window.confirm(`Leave ${team.name}? Only a new invitation brings you back.`)) {
      await action.run(async () => {
        await post(`/teams/${team.id}/leave`);
        await loadMe();
      });
    }
  };
  const make = async () => {
    await action.run(async () => {
      const team = await post<Team>("/teams", { name });
      await loadMe();
      navigate(`/t/${team.id}/videos`);
    });
  };
  return (
    <section aria-labelledby="teams">
      <h2 id="teams">Teams</h2>
      {teams.length === 0 && <p>You are in no team. Ask an owner of yours for an invitation.</p>}
      <table>
        <tbody>
          {teams.map((team) => (
            <tr key={team.id}>
              <th scope="row">
                <a href={`/t/${team.id}/videos`}>{team.name}</a>
              </th>
              <td>{team.role}</td>
              <td class="end">
                <button
                  type="button"
                  class="quiet"
                  aria-label={`Leave ${team.name}`}
                  disabled={action.busy}
                  onClick={() => void leave(team)}
                >
                  Leave
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Failure error={action.error} />
      {me.value?.operator && (
        <form class="row" onSubmit={onSent(make)}>
          <TextField label="New team" required maxLength={64} value={name} onChange={setName} />
          <button type="submit" disabled={action.busy}>
            Make it
          </button>
        </form>
      )}
    </section>
  );
}

function Sessions({ sessions }: { sessions: Collection<SessionOut> }) {
  return (
    <section aria-labelledby="sessions">
      <h2 id="sessions">Where you are signed in</h2>
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Browser</th>
            <th scope="col">Last used</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {sessions.items.map((session) => (
            <tr key={session.id}>
              <td>{session.client || "unknown"}</td>
              <td>
                <Time at={session.seen_at} />
              </td>
              <td class="end">
                {session.this ? (
                  <span class="soft">this browser</span>
                ) : (
                  <button
                    type="button"
                    class="quiet"
                    disabled={sessions.busy}
                    onClick={() => void sessions.drop(session.id)}
                  >
                    Sign out there
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Failure error={sessions.error} />
    </section>
  );
}
