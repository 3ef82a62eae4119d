import { useEffect } from "preact/hooks";
import { loadOwnAccount, ownAccount } from "./own_account.ts";
import { address } from "./router.ts";
import { me } from "./session.ts";

/** Whose account was asked for already. */
let asked = "";

/** Told on every page to whoever came by a one-time link and could not come back, until a password is chosen. */
export function PasswordNotice() {
  const email = me.value?.kind === "account" ? me.value.email : "";
  const account = ownAccount.value?.email === email ? ownAccount.value : undefined;
  useEffect(() => {
    if (email !== "" && email !== asked) {
      asked = email;
      loadOwnAccount().catch(() => {
        asked = "";
      });
    }
  }, [email]);
  if (!account || account.has_password || account.provider || address.value.pathname === "/account") {
    return null;
  }
  return (
    <p class="notice">
      You have no password yet, so this browser is your only way in. <a href="/account">Choose a password</a>
    </p>
  );
}
