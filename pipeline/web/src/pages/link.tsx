import { useState } from "preact/hooks";
import { get, post } from "../api.ts";
import { Field } from "../form.tsx";
import { Frame } from "../frame.tsx";
import { InsecureNotice } from "../insecure.tsx";
import type { PageProps } from "../pages.ts";
import { Failure, useAction, useLoaded } from "../parts.tsx";
import { OrProvider } from "../provider_button.tsx";
import { navigate } from "../router.ts";
import type { LinkOut } from "../schema.ts";
import { homeOf, loadMe, me, signOut } from "../session.ts";

const TITLES: Readonly<Record<LinkOut["kind"], string>> = {
  first_owner: "Welcome to Poseline",
  invitation: "You are invited",
  sign_in: "Sign in",
  new_password: "Choose a password",
};

const PROVIDER_DOES: Readonly<Record<LinkOut["kind"], string>> = {
  first_owner: "Begin with",
  invitation: "Join with",
  sign_in: "Sign in with",
  new_password: "Sign in with",
};

/** What a one-time link is for, and a form that uses it. */
export default function LinkPage({ params }: PageProps) {
  const token = params.token ?? "";
  const path = `/links/${encodeURIComponent(token)}`;
  const { value: link, error } = useLoaded(token, (signal) => get<LinkOut>(path, { signal }));
  return (
    <Frame title={link ? TITLES[link.kind] : "One-time link"}>
      <InsecureNotice />
      <Failure error={error} />
      {error !== undefined && (
        <p>
          <a href="/">{me.value?.kind === "account" ? "Go to your videos" : "Go to the sign-in page"}</a>
        </p>
      )}
      {link && <LinkForm link={link} token={token} path={path} />}
    </Frame>
  );
}

function LinkForm({ link, token, path }: { link: LinkOut; token: string; path: string }) {
  const [name, setName] = useState("");
  const [email, setEmail] = useState(link.email ?? "");
  const [password, setPassword] = useState("");
  const action = useAction();
  const who = me.value?.kind === "account" ? me.value : undefined;
  const joins = link.kind === "invitation" && who !== undefined;
  const makesAccount = link.kind === "first_owner" || (link.kind === "invitation" && !joins);
  const [has, setHas] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    const done = await action.run(() => post(path, { name, email, password }));
    if (done) {
      const home = homeOf(await loadMe());
      navigate(/^#\/t\/[\w/-]+$/.test(window.location.hash) ? window.location.hash.slice(1) : home, { replace: true });
    }
  };
  return (
    <form class="stack" onSubmit={(event) => void submit(event)}>
      <About link={link} />
      {joins && (
        <p>
          You are signed in as <strong>{who.email}</strong>.{" "}
          <button class="quiet" type="button" onClick={() => void signOut(window.location.pathname)}>
            Use another account
          </button>
        </p>
      )}
      {makesAccount && !has && (
        <Field label="Your name">
          <input
            autocomplete="name"
            required
            maxLength={100}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </Field>
      )}
      {makesAccount && (
        <Field label="E-mail address" {...(has ? {} : { hint: "You sign in with it. Poseline sends no mail." })}>
          <input
            type="email"
            readOnly={link.kind === "invitation" && link.email !== null}
            autocomplete="username"
            required
            value={email}
            onInput={(event) => setEmail(event.currentTarget.value)}
          />
        </Field>
      )}
      {(makesAccount || link.kind === "new_password") && (
        <Field label="Password" {...(has ? {} : { hint: "At least 10 characters; a few words make a good one." })}>
          <input
            type="password"
            autocomplete={has ? "current-password" : "new-password"}
            required
            minLength={has ? 1 : 10}
            value={password}
            onInput={(event) => setPassword(event.currentTarget.value)}
          />
        </Field>
      )}
      <Failure error={action.error} />
      <button class="main" type="submit" disabled={action.busy}>
        {labelOf(link, has)}
      </button>
      {link.kind === "invitation" && makesAccount && (
        <button class="quiet" type="button" onClick={() => setHas(!has)}>
          {has ? "I have no account yet" : "I have an account already"}
        </button>
      )}
      {(makesAccount || link.kind === "new_password") && (
        <OrProvider does={PROVIDER_DOES[link.kind]} begin={{ link: token }} />
      )}
    </form>
  );
}

function About({ link }: { link: LinkOut }) {
  if (link.kind === "first_owner") {
    return <p>You are the first here: this makes your account, which owns the teams and can invite others.</p>;
  }
  if (link.kind === "invitation") {
    return (
      <p>
        {link.invited_by ?? "Somebody"} invites you to <strong>{link.team}</strong> as {link.role}.
      </p>
    );
  }
  return (
    <>
      <p>
        This link is for <strong>{link.name}</strong> ({link.email}), and works once.
      </p>
      {link.kind === "new_password" && (
        <p class="soft">
          What you choose here is the only way into the account from then on: its sessions end, and its password
          {me.value?.provider ? ", its links and who signed in with a provider until now" : " and links until now"} let
          nobody in any more.
        </p>
      )}
    </>
  );
}

function labelOf(link: LinkOut, has: boolean): string {
  if (link.kind === "invitation") {
    return has ? "Sign in and join" : "Join";
  }
  return { first_owner: "Begin", sign_in: `Sign in as ${link.name}`, new_password: "Save and sign in" }[link.kind];
}
