/** Who uses this browser, and what they may do. */

import { signal } from "@preact/signals";
import { get, onSignedOut, remove } from "./api.ts";
import { navigate } from "./router.ts";
import type { Me, Role, MyTeam as Team } from "./schema.ts";

export type { Me, Role, Team };

/** Undefined until the server has said it. */
export const me = signal<Me | undefined>(undefined);

let asked = 0;

/** Ask the server again who this is. An answer that comes after that to a later question is an old one. */
export async function loadMe(): Promise<Me> {
  asked += 1;
  const own = asked;
  const told = await get<Me>("/session");
  if (own === asked) {
    me.value = told;
  }
  return told;
}

/**
 * Notice when another tab signs out, or the session has ended, within a minute or when the page is looked at again: it
 * then asks to sign in, at its own address.
 */
export function followSession(): void {
  const askAgain = () => {
    if (me.value?.kind === "account" || me.value?.shared) {
      loadMe().catch(() => undefined);
    }
  };
  onSignedOut(askAgain);
  window.addEventListener("storage", ({ key }) => key === SIGNED_OUT && askAgain());
  const askWhileSeen = () => document.visibilityState === "visible" && askAgain();
  document.addEventListener("visibilitychange", askWhileSeen);
  setInterval(askWhileSeen, ASK_EVERY_MS);
}

/** Sign out in every tab, and go on to a page. */
export async function signOut(to = "/"): Promise<void> {
  await remove("/session");
  window.localStorage.setItem(SIGNED_OUT, new Date().toISOString());
  await loadMe();
  navigate(to);
}

const ORDER: readonly Role[] = ["viewer", "coach", "owner"];

/** Whether a role may do what another may. */
export function includes(role: Role, other: Role): boolean {
  return ORDER.indexOf(role) >= ORDER.indexOf(other);
}

/** A team of whoever uses this browser; a share's team, too, with the role that its link gives. */
export function teamOf(told: Me, id: string): Team | undefined {
  const shared = told.shared?.team_id === id ? { id, name: told.shared.team, role: "viewer" as const } : undefined;
  return told.teams.find((team) => team.id === id) ?? shared;
}

/** The team whose page was open last, or the first one. */
export function lastTeam(told: Me): Team | undefined {
  const last = window.localStorage.getItem(LAST_TEAM);
  return told.teams.find((each) => each.id === last) ?? told.teams[0];
}

/** Where to go after signing in. */
export function homeOf(told: Me): string {
  const team = lastTeam(told);
  return team ? `/t/${team.id}/videos` : "/account";
}

export function rememberTeam(id: string): void {
  window.localStorage.setItem(LAST_TEAM, id);
}

const ASK_EVERY_MS = 60_000;
const LAST_TEAM = "poseline.team";
const SIGNED_OUT = "poseline.signed-out";
