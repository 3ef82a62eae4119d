/** The search above the list: it follows what is typed, after a short pause. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Field } from "../../form.tsx";
import { addressOf, type Filters, LONGEST_NAME, NOTHING, STATES } from "./filters.ts";

const PAUSE_MS = 300;

export function Search({ filters, onSearch }: { filters: Filters; onSearch: (wanted: Filters) => void }) {
  const [typed, setTyped] = useState(filters);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const shown = addressOf(filters);
  const last = useRef(shown);
  if (shown !== last.current) {
    last.current = shown; // by "back", or a link
    setTyped(filters);
  }
  useEffect(() => () => clearTimeout(timer.current), []);
  const search = (wanted: Filters, pause_ms: number) => {
    setTyped(wanted);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      last.current = addressOf(wanted);
      onSearch(wanted);
    }, pause_ms);
  };
  const more = typed.tags !== "" || typed.since !== "" || typed.until !== "";
  return (
    <search>
      <form
        class="search"
        onSubmit={(event) => {
          event.preventDefault();
          search(typed, 0);
        }}
      >
        <div class="row">
          <Field label="Name">
            <input
              type="search"
              maxLength={LONGEST_NAME}
              value={typed.name}
              onInput={(event) => search({ ...typed, name: event.currentTarget.value }, PAUSE_MS)}
            />
          </Field>
          <Field label="State">
            <select value={typed.state} onChange={(event) => search({ ...typed, state: event.currentTarget.value }, 0)}>
              <option value="">Any</option>
              {Object.entries(STATES).map(([name, { title }]) => (
                <option key={name} value={name}>
                  {title}
                </option>
              ))}
            </select>
          </Field>
        </div>
        <details open={more}>
          <summary>Tags and dates</summary>
          <div class="row">
            <Field label="Tags" hint="season=2026, camera=3">
              <input
                value={typed.tags}
                onChange={(event) => search({ ...typed, tags: event.currentTarget.value }, 0)}
              />
            </Field>
            <Field label="Added from">
              <input
                type="date"
                value={typed.since}
                onChange={(event) => search({ ...typed, since: event.currentTarget.value }, 0)}
              />
            </Field>
            <Field label="to">
              <input
                type="date"
                value={typed.until}
                onChange={(event) => search({ ...typed, until: event.currentTarget.value }, 0)}
              />
            </Field>
          </div>
        </details>
        {addressOf(typed) !== "" && (
          <button type="button" class="quiet" onClick={() => search(NOTHING, 0)}>
            Clear the search
          </button>
        )}
      </form>
    </search>
  );
}
