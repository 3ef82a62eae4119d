/** Whether the preview can be trusted for this camera, in words, over time, and joint by joint. */

import { useEffect, useRef } from "preact/hooks";
import { type Agreement, ALIKE, ENOUGH, KEPT, oksOf, SAME_PERSON, type Verdict, verdictOf } from "./agreement.ts";
import type { LiveSession } from "./live_session.ts";

const WORDS: Record<Verdict, string> = { alike: "agrees", roughly: "roughly", apart: "differs" };

export function AgreementPanel({ session }: { session: LiveSession }) {
  void session.told.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    session.compared = canvas.current;
    return () => {
      session.compared = null;
    };
  }, [session]);
  const told = session.agreement.now();
  const isOpen = session.link.state.value.kind === "open";
  const isOn = session.camera.state.value.kind === "on";
  return (
    <section class="live-agreement" aria-labelledby="agreement">
      <h2 id="agreement">Can the preview be trusted?</h2>
      <p class={`verdict ${told.verdict ?? ""}`} data-verdict={told.verdict ?? "unknown"}>
        {session.canCompare.value
          ? verdictText(told, isOpen)
          : "This cannot be told: the server's model finds other keypoints than the preview."}
      </p>
      {isOn && !isOpen && told.seen.length > 0 && (
        <p class="live-status trouble">
          There is no server to compare with now; what is said here is from{" "}
          {ago(performance.now() - (told.seen.at(-1)?.atMs ?? 0))}.
        </p>
      )}
      <div class="live-compared">
        <figure>
          <canvas ref={canvas} role="img" aria-label="The frame that was compared last, with both skeletons" />
          <figcaption>The frame that was compared last: preview in full lines, server dashed.</figcaption>
          {told.frames > 0 && <OverTime told={told} />}
        </figure>
        {told.frames > 0 && <Joints joints={told.joints} />}
      </div>
    </section>
  );
}

function verdictText(told: Agreement, isOpen: boolean): string {
  const { verdict, oks, frames, seen } = told;
  if (verdict !== undefined && told.alone > frames / 2) {
    return `No: in ${told.alone} of ${frames} frames it followed somebody whom the server did not find. Come closer, or look whom it follows.`;
  }
  if (verdict === undefined || oks === undefined) {
    if (frames > 0 || seen.length === 0) {
      return isOpen || frames > 0
        ? `Compares: ${frames} of ${ENOUGH} frames so far.`
        : "Not compared yet: that takes the server.";
    }
    return "Neither sees anybody. Step into the picture.";
  }
  const number = `OKS ${oks.toFixed(2)}, median of ${frames} frames`;
  const weak = told.joints.filter(({ alike }) => alike !== undefined && verdictOf(alike) === "apart");
  const names = weak.length > told.joints.length / 2 ? "most joints" : weak.map(({ name }) => name).join(", ");
  const except = weak.length && verdict !== "apart" ? ` Not for: ${names}.` : "";
  const missed = told.missed ? ` It missed the person in ${told.missed}.` : "";
  const alone = told.alone ? ` In ${told.alone} it followed somebody whom the server did not find.` : "";
  return {
    alike: `Yes, for this camera: it agrees with the server (${number}).`,
    roughly: `Roughly: good enough to frame the picture, not to judge joints by (${number}).`,
    apart: `No: for this camera it sees something else than the server (${number}).`,
  }[verdict].concat(except, missed, alone);
}

/** OKS of each comparison, the newest at the right. */
function OverTime({ told: { seen } }: { told: Agreement }) {
  const compared = seen.filter(({ outcome }) => outcome.kind !== "nobody" && outcome.kind !== "alone");
  const at = (index: number) => (100 * (index + KEPT - compared.length + 0.5)) / KEPT;
  return (
    <svg class="over-time" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      {[ALIKE, SAME_PERSON].map((level) => (
        <line key={level} x1="0" x2="100" y1={30 * (1 - level)} y2={30 * (1 - level)} />
      ))}
      {compared.map(({ atMs, outcome }, index) => {
        const oks = oksOf(outcome);
        return (
          <rect
            key={atMs}
            class={verdictOf(oks)}
            x={at(index) - 0.6}
            width="1.2"
            y={Math.min(29, 30 * (1 - oks))}
            height={Math.max(1, 30 * oks)}
          />
        );
      })}
    </svg>
  );
}

/** Left and right beside each other, as the person has them. */
function Joints({ joints }: { joints: Agreement["joints"] }) {
  const names = [...new Set(joints.map(({ name }) => name.replace(/^(left|right) /, "")))];
  const of = (name: string) => joints.find((each) => each.name === name)?.alike;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Joint</th>
          <th scope="col">Left</th>
          <th scope="col">Right</th>
        </tr>
      </thead>
      <tbody>
        {names.map((name) => {
          const single = joints.some((each) => each.name === name);
          return (
            <tr key={name}>
              <th scope="row">{name}</th>
              {single ? (
                <td colSpan={2}>
                  <Alike value={of(name)} />
                </td>
              ) : (
                ["left", "right"].map((side) => (
                  <td key={side}>
                    <Alike value={of(`${side} ${name}`)} />
                  </td>
                ))
              )}
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Alike({ value }: { value: number | undefined }) {
  if (value === undefined) {
    return <span class="soft">not seen</span>;
  }
  const verdict = verdictOf(value);
  return (
    <span class={verdict}>
      {WORDS[verdict]} <small>{value.toFixed(2)}</small>
    </span>
  );
}

function ago(ms: number): string {
  const s = Math.round(ms / 1000);
  return s < 90 ? `${s} s ago` : `${Math.round(s / 60)} min ago`;
}
