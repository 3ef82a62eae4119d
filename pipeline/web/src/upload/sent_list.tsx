/** The files that were chosen: on their way, and then what becomes of them. */

import { useEffect } from "preact/hooks";
import type { Team } from "../session.ts";
import { tell } from "../told.ts";
import type { UploadQueue } from "./queue.ts";
import { formatBytes, formatDuration } from "./speed.ts";
import { UploadRow } from "./upload_row.tsx";

export function SentList({ queue, team }: { queue: UploadQueue; team: Team }) {
  const files = queue.files;
  const done = files.filter((each) => each.state === "done").length;
  const left = queue.allSecondsLeft;
  const speed = queue.bytesPerS;
  useEffect(() => queue.outcomes.follow(queue.sentVideos));
  useEffect(() => () => queue.outcomes.stop(), [queue]);
  return (
    <section aria-labelledby="these">
      <h2 id="these">
        {done} of {files.length} sent
      </h2>
      <p role="status">{inWords(queue)}</p>
      {queue.isUnderWay && (
        <p class="soft">
          {formatBytes(queue.bytesLeft)} left
          {speed !== undefined && `, ${formatBytes(speed)} a second`}
          {left !== undefined && `, about ${formatDuration(left)}`}
        </p>
      )}
      <ul class="uploads">
        {files.map((each) => (
          <UploadRow key={each} upload={each} queue={queue} team={team} />
        ))}
      </ul>
    </section>
  );
}

function inWords(queue: UploadQueue): string {
  const { files } = queue;
  if (queue.isUnderWay) {
    return "Keep this page open until all is sent. If it closes, choose the same files again: they go on where they stopped.";
  }
  if (files.some(({ state }) => state === "known")) {
    return "Some videos wait for your answer.";
  }
  if (!files.every(({ state }) => state === "done")) {
    return "Nothing is being sent now.";
  }
  return ["All is sent: it is safe to close the browser.", ...becameInWords(queue)].join(" ");
}

/** How many are analysed, and how many failed; once more than one was sent, for one says it itself. */
function becameInWords(queue: UploadQueue): readonly string[] {
  const kinds = queue.files.map((each) => {
    const outcome = queue.outcomeOf(each);
    return each.problem ? "bad" : outcome === undefined || outcome === "gone" ? "quiet" : tell(outcome).kind;
  });
  const count = (kind: string) => kinds.filter((each) => each === kind).length;
  const [good, bad] = [count("good"), count("bad")];
  return kinds.length < 2 || good + bad === 0
    ? []
    : [`${good} of ${kinds.length} analysed${bad > 0 ? `, ${bad} failed: see below` : ""}.`];
}
