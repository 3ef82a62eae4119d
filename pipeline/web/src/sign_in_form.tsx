import { useState } from "preact/hooks";
import { post } from "./api.ts";
import { Field } from "./form.tsx";
import { Failure, useAction } from "./parts.tsx";
import { OrProvider } from "./provider_button.tsx";
import { loadMe } from "./session.ts";

interface Props {
  readonly email?: string;
  /** Called when somebody has signed in. */
  readonly onDone?: () => void;
}

/** E-mail address and password, and the provider where one is set. */
export function SignInForm({ email: given = "", onDone = () => undefined }: Props) {
  const [email, setEmail] = useState(given);
  const [password, setPassword] = useState("");
  const action = useAction();
  const submit = async (event: Event) => {
    event.preventDefault();
    const done = await action.run(async () => {
      await post("/session", { email, password });
      await loadMe();
    });
    if (done) {
      onDone();
    }
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)}>
      <Field label="E-mail address">
        <input
          type="email"
          name="email"
          autocomplete="username"
          required
          value={email}
          onInput={(event) => setEmail(event.currentTarget.value)}
        />
      </Field>
      <Field label="Password">
        <input
          type="password"
          name="password"
          autocomplete="current-password"
          required
          value={password}
          onInput={(event) => setPassword(event.currentTarget.value)}
        />
      </Field>
      <Failure error={action.error} />
      <button class="main" type="submit" disabled={action.busy}>
        Sign in
      </button>
      <p class="soft">Forgotten it, or never had one? Ask who runs this server for a link to choose one.</p>
      <OrProvider does="Sign in with" />
    </form>
  );
}
