/** The picture. */

import type { RefObject } from "preact";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";

interface StageProps {
  readonly canvas: RefObject<HTMLCanvasElement | null>;
  readonly player: Player | undefined;
  readonly state: PlayerState | undefined;
  readonly error: string | undefined;
  /** What is waited for before anything can be shown. */
  readonly waiting: string | undefined;
}

export function Stage({ canvas, player, state, error, waiting }: StageProps) {
  const follow = ({ clientX, clientY, currentTarget }: MouseEvent & { currentTarget: HTMLCanvasElement }) => {
    const shown = currentTarget.getBoundingClientRect();
    const { width, height } = player?.table.header ?? { width: 0, height: 0 };
    const x = ((clientX - shown.left) / shown.width) * width;
    player?.followAt(x, ((clientY - shown.top) / shown.height) * height);
  };
  const failure = error ?? state?.error;
  return (
    <div class="stage" data-certainty={state?.certainty}>
      <canvas ref={canvas} onClick={follow} role="img" aria-label={describe(player, state)} />
      {state?.certainty === "guessed" && (
        <p class="badge" title="Over HTTPS, in a browser with WebCodecs, it belongs to the picture under it.">
          the overlay may be a frame off
        </p>
      )}
      {failure ? (
        <p class="stage-note" role="alert">
          {failure}
        </p>
      ) : (
        <p class="stage-note" role="status">
          {player ? noteOn(player, state) : (waiting ?? "Opening the video…")}
        </p>
      )}
    </div>
  );
}

function describe(player: Player | undefined, state: PlayerState | undefined): string {
  if (!player || state?.frame === undefined) {
    return "The video";
  }
  const people = state.poses?.state === "done" ? state.poses.people.length : undefined;
  const seen = people === undefined ? "" : `, ${people === 1 ? "1 person" : `${people} people`} in view`;
  return `Frame ${state.frame}${seen}`;
}

/** What a person has to know of the frame beyond the picture. */
function noteOn(player: Player | undefined, state: PlayerState | undefined): string {
  if (!player || !state || state.time === undefined) {
    return "Opening the video…";
  }
  if (state.frame === undefined) {
    return "This picture is not in the analysis.";
  }
  switch (state.poses?.state) {
    case undefined:
      return "Fetching the poses…";
    case "to come":
      return "The poses of this frame are still to come.";
    case "missing":
      return `No poses: ${state.poses.reason}`;
    default:
      return "";
  }
}
