/** How it stands with the server, in one line, with what can be done. */

import type { LiveSession } from "./live_session.ts";
import { MODES } from "./mode_choice.tsx";

export function StatusLine({ session }: { session: LiveSession }) {
  const state = session.link.state.value;
  const chosen = session.chosen.value;
  if (chosen === "preview" && state.kind === "off") {
    return null;
  }
  switch (state.kind) {
    case "connecting":
      return <Line>{state.told || "Connects to the server …"}</Line>;
    case "ending":
      return <Line>Waits for the last results …</Line>;
    case "open":
      return <Open session={session} />;
    case "waiting":
      return (
        <Line isTrouble>
          {state.reason}
          {session.shown === "preview" || session.shown === "hybrid" ? " The preview goes on." : ""}
          {state.isOverload && " The server is asked again from time to time."}
        </Line>
      );
    case "refused":
      return (
        <Line isTrouble>
          {state.reason}{" "}
          <button type="button" onClick={() => session.choose(state.offer)}>
            Go on: {MODES.find(({ mode }) => mode === state.offer)?.name.toLowerCase()}
          </button>{" "}
          <button type="button" class="quiet" onClick={() => session.connect()}>
            Ask again
          </button>
        </Line>
      );
    case "over":
      return (
        <Line isTrouble>
          {state.reason}{" "}
          <button type="button" onClick={() => session.connect()}>
            Begin again
          </button>
        </Line>
      );
    case "off":
      return null;
  }
}

function Open({ session }: { session: LiveSession }) {
  const state = session.link.state.value;
  if (state.kind !== "open") {
    return null;
  }
  const ready = session.ready.value;
  void session.told.value;
  const every = ((session.everyMs || state.everyMs) / 1000).toFixed(1);
  const text =
    state.mode === "full"
      ? "Every frame goes to the server while it can follow; you see the frame that each result is of."
      : `The server looks at a frame every ${every} s.`;
  return (
    <>
      {state.mode !== session.chosen.value && (
        <Line isTrouble>
          {state.mode === "hybrid" ? "Hybrid for now" : "Every frame again"}
          {state.told && `: ${state.told}`}.
        </Line>
      )}
      <Line>
        {text}
        {ready && ` ${ready.model}, ${ready.device}, ${Math.round(ready.call_ms)} ms a call.`}
      </Line>
    </>
  );
}

function Line({ isTrouble, children }: { isTrouble?: boolean; children: preact.ComponentChildren }) {
  return (
    // The other line has numbers that change all the time: nobody wants to hear them.
    <p {...(isTrouble ? { role: "status" } : {})} class={isTrouble ? "live-status trouble" : "live-status soft"}>
      {children}
    </p>
  );
}
