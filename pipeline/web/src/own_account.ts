/** The account of whoever uses this browser, with what only itself is told. */

import { signal } from "@preact/signals";
import { get } from "./api.ts";
import type { AccountOut } from "./schema.ts";

/** Undefined until it was asked for. */
export const ownAccount = signal<AccountOut | undefined>(undefined);

export async function loadOwnAccount(signal?: AbortSignal): Promise<AccountOut> {
  const told = await get<AccountOut>("/account", signal ? { signal } : {});
  ownAccount.value = told;
  return told;
}
