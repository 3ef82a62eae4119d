/** What can go wrong on the way, and whether it passes by itself. */

import { messageOf, Problem } from "../api.ts";

/** No answer; signed out; too slow; parts to be listed anew; too early; too many. */
const PASSING = new Set([0, 401, 408, 409, 425, 429]);

/** Whether trying again may help without anybody doing something to the file. */
export function passes(error: unknown): boolean {
  return error instanceof Problem && (PASSING.has(error.status) || error.status >= 500);
}

/** What to tell. What browsers say of files that they cannot read is for programmers. */
export function reasonOf(error: unknown): string {
  if (error instanceof DOMException) {
    return "The file cannot be read: it was changed, moved, or its disk is gone. Pick it again.";
  }
  if (error instanceof Problem && error.status === 401) {
    return "You are signed out: sign in in another tab, and it goes on.";
  }
  return messageOf(error);
}
