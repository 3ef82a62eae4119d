/** Small parts that many pages use. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { messageOf } from "./api.ts";
import { copyText } from "./copy_text.ts";
import { Field } from "./form.tsx";

/** What went wrong, told at once to those who hear the page, too. */
export function Failure({ error }: { error: unknown }) {
  return error === undefined ? null : (
    <p role="alert" class="failure">
      {messageOf(error)}
    </p>
  );
}

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: unknown;
  /** Ask again. */
  readonly reload: () => Promise<void>;
}

/** What a request gives, asked for anew whenever `key` changes. */
export function useLoaded<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; value?: T; error?: unknown }>({ key });
  const latest = useRef(load);
  latest.current = load;
  const aborter = useRef<AbortController | undefined>(undefined);
  const reload = useCallback(async () => {
    aborter.current?.abort();
    const own = new AbortController();
    aborter.current = own;
    try {
      const value = await latest.current(own.signal);
      if (!own.signal.aborted) {
        setState({ key, value });
      }
    } catch (error) {
      if (!own.signal.aborted) {
        setState({ key, error });
      }
    }
  }, [key]);
  useEffect(() => {
    void reload();
    return () => aborter.current?.abort();
  }, [reload]);
  const current = state.key === key ? state : { value: undefined, error: undefined };
  return { value: current.value, error: current.error, reload };
}

export interface Action {
  readonly busy: boolean;
  readonly error: unknown;
  /** Do it; what goes wrong is kept in `error`. Gives whether it was done. */
  readonly run: (work: () => Promise<unknown>) => Promise<boolean>;
}

/** Something that a person starts, and that may fail. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const run = useCallback(async (work: () => Promise<unknown>) => {
    setBusy(true);
    setError(undefined);
    try {
      await work();
      return true;
    } catch (caught) {
      setError(caught);
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  return { busy, error, run };
}

/** A time as this browser's person writes it. */
export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at}>{new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}</time>
  );
}

/** A secret that is shown once, with a button that copies it. */
export function Secret({ label, value }: { label: string; value: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    setCopied(await copyText(value));
    field.current?.select(); // to be copied by hand where it is not
  };
  return (
    <div class="secret">
      <Field label={label}>
        <input ref={field} readOnly value={value} onFocus={(event) => event.currentTarget.select()} />
      </Field>
      <button type="button" onClick={() => void copy()}>
        {copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
