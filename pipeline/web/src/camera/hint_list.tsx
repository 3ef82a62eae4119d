/** What is to be known before filming: one line each, with its reason, and what to do. */

import type { Level, Told } from "./hints/hint.ts";

const WORDS: Readonly<Record<Level, string>> = {
  good: "Good",
  fair: "Better",
  bad: "Needs you",
  unknown: "Not known",
};

export function HintList({ hints }: { hints: readonly Told[] }) {
  const open = hints.filter(({ level }) => level === "bad" || level === "fair").length;
  const seen = hints.filter(({ level }) => level !== "unknown").length;
  return (
    <section class="hints" aria-labelledby="hints">
      <h2 id="hints">Before you film</h2>
      <p role="status" class="soft">
        {seen === 0
          ? "What the camera sees is judged here once it is on."
          : open > 0
            ? `${open} of ${hints.length} could be better.`
            : seen < hints.length
              ? "Nothing stands in the way, as far as it is known."
              : "Nothing stands in the way."}
      </p>
      <ul>
        {hints.map((hint) => (
          <Item key={hint.name} hint={hint} />
        ))}
      </ul>
    </section>
  );
}

function Item({ hint: { name, level, text, reason, fix } }: { hint: Told }) {
  return (
    <li class={level}>
      <Sign level={level} />
      <div>
        <p>
          <strong>{name}</strong> <span class="text">{text}</span>
        </p>
        {fix && <p class="fix">{fix}</p>}
        {(level === "bad" || level === "fair") && <p class="why">{reason}</p>}
      </div>
    </li>
  );
}

/** A shape of its own for each level, for colours do not tell it to everybody. */
function Sign({ level }: { level: Level }) {
  return (
    <svg viewBox="0 0 16 16" role="img" aria-label={WORDS[level]}>
      {level === "good" && <path d="M3 8.5 6.5 12 13 4.5" />}
      {level === "fair" && <path d="M8 2 14.5 13.5H1.5ZM8 6.5v3M8 11.4v.4" />}
      {level === "bad" && <path d="M8 1.5A6.5 6.5 0 1 1 7.99 1.5ZM8 4.5v4M8 11v.4" />}
      {level === "unknown" && <path d="M4 8h8" />}
    </svg>
  );
}
