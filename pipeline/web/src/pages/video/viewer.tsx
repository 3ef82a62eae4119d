/** The player with its controls, the timeline, the people in view, and another video beside it. */

import { useEffect, useRef } from "preact/hooks";
import type { Player } from "../../player/player.ts";
import type { Team } from "../../session.ts";
import { type Beside, beside, besideOfAddress, frameOfAddress, keepFrameInAddress } from "./address.ts";
import { ChooseBeside, GoesAlong } from "./beside.tsx";
import { useFit } from "./fit.ts";
import { listenToKeys } from "./keys.ts";
import { People } from "./people.tsx";
import { useShown } from "./shown.ts";
import { Stage } from "./stage.tsx";
import { Timeline } from "./timeline.tsx";
import { Transport } from "./transport.tsx";
import type { RunOfVideo, VideoRuns } from "./video_runs.ts";

interface ViewerProps {
  readonly team: Team;
  readonly videoUrl: string;
  readonly video: VideoRuns;
  readonly run: RunOfVideo;
  /** What is shown cannot be fetched any more. */
  readonly onTrouble: () => void;
}

export function Viewer({ team, videoUrl, video, run, onTrouble }: ViewerProps) {
  const runUrl = `${videoUrl}/runs/${run.id}`;
  const other = beside.value;
  const shown = useShown(videoUrl, runUrl, begin);
  const { player, state } = shown;
  const trouble = state?.error;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another function of the same effect comes with each drawing.
  useEffect(() => {
    if (trouble) {
      onTrouble();
    }
  }, [trouble]);
  const main = useRef<HTMLDivElement>(null);
  const compare = (chosen: Beside) => {
    beside.value = chosen;
    main.current?.scrollIntoView({ block: "start" });
  };
  useFit(main);
  return (
    <div class="viewer">
      <div class="viewer-main" ref={main}>
        <div class={other ? "side-by-side" : ""}>
          <Stage {...shown} />
          {other && <GoesAlong key={other.run} team={team} other={other} main={state} />}
        </div>
        {player && state && (
          <>
            <Timeline runUrl={runUrl} run={run} player={player} state={state} />
            <Transport player={player} state={state} name={video.name} />
            <ChooseBeside team={team} video={video} run={run} onChoose={compare} />
          </>
        )}
      </div>
      {player && state && <People player={player} state={state} />}
    </div>
  );
}

function begin(player: Player): () => void {
  const ends = [listenToKeys(player), keepFrameInAddress(() => player.state, player)];
  beside.value = besideOfAddress();
  void player.seek(frameOfAddress() ?? 0);
  return () => {
    beside.value = undefined;
    for (const end of ends) {
      end();
    }
  };
}
