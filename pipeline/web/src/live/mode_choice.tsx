/** The three ways to see poses live, and what each costs. */

import type { Mode } from "./protocol.ts";

export const MODES: readonly { readonly mode: Mode; readonly name: string; readonly text: string }[] = [
  { mode: "preview", name: "On this device", text: "One person, at once. Nothing is sent." },
  { mode: "hybrid", name: "Hybrid", text: "The same, and the server checks a frame now and then." },
  { mode: "full", name: "Full server", text: "The server finds everybody, in every frame it can." },
];

export function ModeChoice({ mode, onChoose }: { mode: Mode; onChoose: (mode: Mode) => void }) {
  return (
    <fieldset class="live-modes">
      <legend>Who finds the poses</legend>
      {MODES.map((each) => (
        <label key={each.mode} class={each.mode === mode ? "chosen" : ""}>
          <input
            type="radio"
            name="live-mode"
            value={each.mode}
            checked={each.mode === mode}
            onChange={() => onChoose(each.mode)}
          />
          {each.name}
        </label>
      ))}
      <p class="soft">{MODES.find((each) => each.mode === mode)?.text}</p>
    </fieldset>
  );
}
