/** Keeping a session: what is asked before, and where it is afterwards. */

import type { LiveSession } from "./live_session.ts";

export function KeepChoice({ session }: { session: LiveSession }) {
  return (
    <label class="live-check">
      <input
        type="checkbox"
        checked={session.keep.value}
        onChange={({ currentTarget }) => {
          session.keep.value = currentTarget.checked;
        }}
      />
      Keep this session
    </label>
  );
}

/** What becomes of the pictures. */
export function promise(session: LiveSession): string {
  if (session.chosen.value === "preview") {
    return "The picture stays on this device.";
  }
  return session.keep.value
    ? "The pictures that are sent, and their poses, are stored as a video of the team."
    : "Pictures go to this server, which keeps none of them.";
}

/** Whether this session is kept, and where those are that were. */
export function KeptLine({ session, team }: { session: LiveSession; team: string }) {
  const { videos, lost, problem } = session.link.kept.value;
  const isKept = session.link.state.value.kind === "open" && session.keep.value && !problem;
  return (
    <>
      {isKept && <p class="live-status soft">This session is kept.</p>}
      {problem && (
        <p role="status" class="live-status trouble">
          {videos.length > 0 ? "Not all of it was kept: " : "It is not kept: "}
          {problem}
        </p>
      )}
      {videos.length > 0 && (
        <p role="status" class="live-status">
          Kept as{" "}
          {videos.map((video, index) => (
            <>
              {index > 0 && ", "}
              <a href={`/t/${team}/videos/${video}`}>{index > 0 ? `video ${index + 1}` : "a video"}</a>
            </>
          ))}
          .
        </p>
      )}
      {lost > 0 && (
        <p class="live-status soft">
          What was sent before a connection was lost is kept, too: see <a href={`/t/${team}/videos`}>Videos</a>.
        </p>
      )}
    </>
  );
}
