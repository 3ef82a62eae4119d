import { useEffect } from "preact/hooks";
import { post } from "../api.ts";
import { Frame } from "../frame.tsx";
import { Failure, useLoaded } from "../parts.tsx";
import { cameFrom } from "../provider_button.tsx";
import { address, navigate } from "../router.ts";
import type { Me, ProviderReturn } from "../schema.ts";
import { me } from "../session.ts";

/** Where the provider sends the browser back: signs in, and goes on to where it came from. */
export default function SignedInPage() {
  const query = address.value.searchParams;
  const back: ProviderReturn = {
    state: query.get("state") ?? "",
    code: query.get("code"),
    iss: query.get("iss"),
    error: query.get("error"),
  };
  const { value, error } = useLoaded("once", (signal) => post<Me>("/session/provider/return", back, { signal }));
  const from = cameFrom();
  useEffect(() => {
    if (value) {
      me.value = value;
      // A link has done what it was for.
      navigate(from.startsWith("/link/") ? "/" : from, { replace: true });
    }
  }, [value, from]);
  return (
    <Frame title="Sign in">
      <Failure error={error} />
      {error === undefined ? (
        <p class="soft">One moment…</p>
      ) : (
        <p>
          <a href={from}>Back</a>
        </p>
      )}
    </Frame>
  );
}
