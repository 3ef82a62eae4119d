import { useState } from "preact/hooks";
import { post } from "../api.ts";
import { onSent, TextField } from "../form.tsx";
import { Failure, useAction } from "../parts.tsx";
import { ProviderButton } from "../provider_button.tsx";
import type { AccountOut } from "../schema.ts";
import { me } from "../session.ts";

interface FormProps {
  readonly account: AccountOut;
  readonly onDone: () => Promise<void>;
}

/** An account that a provider alone signs in is changed by who was asked by it just now, and not by who finds this browser
 * open. */
export function ProveIt({ account }: { readonly account: AccountOut }) {
  const name = me.value?.provider ?? "";
  if (account.needs !== "provider") {
    return null;
  }
  return account.confirmed ? (
    <p role="status">{name} has confirmed that it is you. For five minutes you can change your address and password.</p>
  ) : (
    <div class="stack">
      <p>
        You sign in with {name}. To change your address, or to choose a password, let {name} ask once more who you are.
      </p>
      <ProviderButton does="Confirm with" begin={{ confirm: true }} />
    </div>
  );
}

/** Whether address and password can be changed now, but for a password that is asked for. */
export function isFree(account: AccountOut): boolean {
  return account.needs !== "provider" || account.confirmed;
}

/** The password, and what else ends with it. */
export function Password({ account, onDone }: FormProps) {
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [disconnect, setDisconnect] = useState(false);
  const [saved, setSaved] = useState(false);
  const action = useAction();
  const submit = async () => {
    setSaved(false);
    if (await action.run(() => post("/account/password", { current, new: fresh, disconnect }))) {
      setCurrent("");
      setFresh("");
      setDisconnect(false);
      setSaved(true);
      await onDone();
    }
  };
  return (
    <section aria-labelledby="password">
      <h2 id="password">Password</h2>
      <form class="stack" onSubmit={onSent(submit)}>
        {account.has_password && (
          <TextField
            label="Password so far"
            type="password"
            autocomplete="current-password"
            required
            value={current}
            onChange={setCurrent}
          />
        )}
        <TextField
          label="New password"
          hint="At least 10 characters. Every other session ends."
          type="password"
          autocomplete="new-password"
          required
          minLength={10}
          disabled={!isFree(account)}
          value={fresh}
          onChange={setFresh}
        />
        {account.provider && (
          <label class="account-check">
            <input
              type="checkbox"
              checked={disconnect}
              disabled={!isFree(account)}
              onChange={({ currentTarget }) => setDisconnect(currentTarget.checked)}
            />
            <span>
              Disconnect {me.value?.provider}, too. Otherwise who signs in there
              {account.provider.email && ` as ${account.provider.email}`} still comes in.
            </span>
          </label>
        )}
        <Failure error={action.error} />
        {saved && <p role="status">The new password is saved.</p>}
        <button type="submit" disabled={action.busy || !isFree(account)}>
          Change the password
        </button>
      </form>
    </section>
  );
}
