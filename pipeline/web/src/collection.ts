/** Things that people make, see listed and take away: invitations, keys, links, webhooks. */

import { get, post, remove } from "./api.ts";
import { useAction, useLoaded } from "./parts.tsx";

export interface Collection<T> {
  /** Empty until they are loaded. */
  readonly items: readonly T[];
  readonly busy: boolean;
  readonly error: unknown;
  /** Make one. Gives what the server tells of it, with the secret that is told once; undefined where that failed. */
  readonly add: <Made>(given: unknown) => Promise<Made | undefined>;
  readonly drop: (id: string) => Promise<boolean>;
  readonly reload: () => Promise<void>;
}

/** What is at `path`, of which each has its own address below it. */
export function useCollection<T>(path: string): Collection<T> {
  const list = useLoaded(path, (signal) => get<{ readonly items: readonly T[] }>(path, { signal }));
  const action = useAction();
  const add = async <Made>(given: unknown) => {
    let made: Made | undefined;
    await action.run(async () => {
      made = await post<Made>(path, given);
      await list.reload();
    });
    return made;
  };
  const drop = (id: string) =>
    action.run(async () => {
      await remove(`${path}/${encodeURIComponent(id)}`);
      await list.reload();
    });
  return {
    items: list.value?.items ?? [],
    busy: action.busy,
    error: action.error ?? list.error,
    add,
    drop,
    reload: list.reload,
  };
}
