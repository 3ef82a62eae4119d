/** How long each stage of a frame takes, drawn against what it should need. */

import "./meter.css";
import type { Measured, Stage, StageTimes } from "./stage_times.ts";

interface Props {
  readonly stages: readonly Stage[];
  readonly times: StageTimes;
  /** The name under which the whole way, with all waiting between the stages, was counted. */
  readonly whole: string;
  /** Why a stage may take longer than it should, said where the whole is over its budget. */
  readonly why?: string | undefined;
}

/** The meter. Draw it again for new numbers; it keeps none. */
export function Meter({ stages, times, whole, why }: Props) {
  const budgetMs = stages.reduce((sum, stage) => sum + stage.budgetMs, 0);
  const all = [...stages, { name: whole, budgetMs }];
  const measured = all.map((stage) => times.of(stage.name));
  // One scale for all bars, so that lengths can be compared.
  const longest = Math.max(1.25 * budgetMs, ...measured.map((each) => each?.p95Ms ?? 0));
  const total = measured.at(-1);
  return (
    <div class="meter">
      <table>
        <thead>
          <tr>
            <th scope="col">Stage</th>
            <th scope="col">Median</th>
            <th scope="col">95 %</th>
            <th scope="col">Budget</th>
          </tr>
        </thead>
        <tbody>
          {all.map((stage, index) => (
            <Row key={stage.name} stage={stage} measured={measured[index]} longest={longest} />
          ))}
        </tbody>
      </table>
      {total && (
        <p class={total.medianMs > budgetMs ? "over" : "soft"}>
          {total.medianMs > budgetMs
            ? `Over the budget of ${budgetMs} ms by ${Math.round(total.medianMs - budgetMs)} ms. ${why ?? ""}`
            : `Within the budget of ${budgetMs} ms.`}
        </p>
      )}
    </div>
  );
}

interface RowProps {
  readonly stage: Stage;
  readonly measured: Measured | undefined;
  readonly longest: number;
}

function Row({ stage, measured, longest }: RowProps) {
  const share = (ms: number) => `${Math.min(100, (100 * ms) / longest)}%`;
  const over = measured && measured.medianMs > stage.budgetMs;
  return (
    <tr class={over ? "over" : ""}>
      <th scope="row">
        {stage.name}
        <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
          <rect class="track" width="100%" height="10" />
          {measured && <rect class="late" y="3.5" height="3" width={share(measured.p95Ms)} />}
          {measured && <rect class="usual" height="10" width={share(measured.medianMs)} />}
          <rect class="budget" height="10" width="0.6" x={share(stage.budgetMs)} />
        </svg>
      </th>
      <td>{measured ? `${text(measured.medianMs)} ms` : "–"}</td>
      <td>{measured ? `${text(measured.p95Ms)} ms` : "–"}</td>
      <td>{stage.budgetMs} ms</td>
    </tr>
  );
}

function text(ms: number): string {
  return ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0);
}
