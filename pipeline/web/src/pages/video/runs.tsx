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
  const names = namesOf(runs);
  return (
    <div class="runs">
      {runs.length > 1 ? (
        <label>
          Analysis{" "}
          <select value={chosen} onChange={(event) => onChoose(event.currentTarget.value)}>
            {runs.map((each) => (
              <option key={each.id} value={each.id}>
                {names.get(each.id)}
              </option>
            ))}
          </select>
        </label>
      ) : (
        <span>{names.get(run.id)}</span>
      )}
      {run.reason && run.reason !== run.state && !isOpen(run) && run.state !== "done" && (
        <p class="reason">{run.reason}</p>
      )}
    </div>
  );
}

/** What a run is called; with seconds where others were asked for in the same minute. */
function namesOf(runs: readonly RunOfVideo[]): ReadonlyMap<string, string> {
  const name = ({ model, live, state, is_current, created_at }: RunOfVideo, timeStyle: "short" | "medium") => {
    const at = new Date(created_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle });
    return `${model}${live ? ", live" : ""}, ${at}${is_current ? ", current" : state === "done" ? "" : `, ${state}`}`;
  };
  const short = runs.map((run) => name(run, "short"));
  const unique = new Set(short).size === runs.length;
  return new Map(runs.map((run, index) => [run.id, unique ? (short[index] ?? "") : name(run, "medium")]));
}
