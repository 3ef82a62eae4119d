/** Which analysis is shown. */

import { isOpen, type RunOfVideo } from "./video_runs.ts";

interface RunsProps {
  readonly runs: readonly RunOfVideo[];
  readonly chosen: string | undefined;
  readonly onChoose: (id: string) => void;
}

export function Runs({ runs, chosen, onChoose }: RunsProps) {
  const run = runs.find(({ id }) => id === chosen);
  if (!run) {
    return null;
  }
  return (
    <div class="runs">
      {runs.length > 1 ? (
        <label>
          Analysis{" "}
          <select value={chosen} onChange={(event) => onChoose(event.currentTarget.value)}>
            {runs.map((each) => (
              <option key={each.id} value={each.id}>
                {nameOf(each)}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <span>{nameOf(run)}</span>
      )}
      {run.reason && !isOpen(run) && run.state !== "done" && <p class="reason">{run.reason}</p>}
    </div>
  );
}

function nameOf({ model, state, is_current, created_at }: RunOfVideo): string {
  const day = new Date(created_at).toLocaleDateString();
  return `${model}, ${day}${is_current ? ", current" : state === "done" ? "" : `, ${state}`}`;
}
