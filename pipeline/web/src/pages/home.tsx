import { useEffect } from "preact/hooks";
import { Frame } from "../frame.tsx";
import { InsecureNotice } from "../insecure.tsx";
import { navigate } from "../router.ts";
import { homeOf, me } from "../session.ts";
import { SignInForm } from "../sign_in_form.tsx";

/** Sign in; who is signed in goes on to their team. */
export default function HomePage() {
  const home = me.value?.kind === "account" ? homeOf(me.value) : undefined;
  useEffect(() => {
    if (home) {
      navigate(home, { replace: true });
    }
  }, [home]);
  return home ? null : (
    <Frame title="Sign in">
      <InsecureNotice />
      <SignInForm />
      <p class="soft">
        No account yet, or no password? An owner of your team can make you a link. On a stack of your own,{" "}
        <code>poseline accounts link</code> makes one.
      </p>
      <p class="soft">
        To set a camera up, or to film, no account is needed: <a href="/camera">open the camera</a>.
      </p>
    </Frame>
  );
}
