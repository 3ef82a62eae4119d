import { useState } from "preact/hooks";
import { remove } from "../api.ts";
import { TextField } from "../form.tsx";
import { Failure, Time, useAction } from "../parts.tsx";
import { ProviderButton } from "../provider_button.tsx";
import type { AccountOut } from "../schema.ts";

interface Props {
  readonly account: AccountOut;
  /** What the provider is called. */
  readonly name: string;
  readonly onDone: () => Promise<void>;
}

/** Whether the provider signs this account in; connect it, or disconnect it. */
export function Provider({ account, name, onDone }: Props) {
  const [password, setPassword] = useState("");
  const action = useAction();
  const disconnect = () =>
    action.run(async () => {
      await remove("/account/provider");
      await onDone();
    });
  return (
    <section aria-labelledby="provider">
      <h2 id="provider">Sign in with {name}</h2>
      {account.provider ? (
        <>
          <p>
            Connected{account.provider.email && ` as ${account.provider.email}`} since{" "}
            <Time at={account.provider.connected_at} />.
          </p>
          <Failure error={action.error} />
          <button type="button" disabled={action.busy} onClick={() => void disconnect()}>
            Disconnect
          </button>
        </>
      ) : (
        <form class="stack" onSubmit={(event) => event.preventDefault()}>
          {account.has_password && (
            <TextField
              label="Password, to connect"
              type="password"
              autocomplete="current-password"
              value={password}
              onChange={setPassword}
            />
          )}
          <ProviderButton does="Connect" begin={{ connect: true, password }} />
        </form>
      )}
    </section>
  );
}
