import type { Team } from "../session.ts";
import { tell, tellPeople } from "../told.ts";
import type { FileUpload } from "./file_upload.ts";
import type { Outcome } from "./outcomes.ts";
import type { UploadQueue } from "./queue.ts";
import { formatBytes, formatDuration } from "./speed.ts";

interface Props {
  readonly upload: FileUpload;
  readonly queue: UploadQueue;
  readonly team: Team;
}

/** One file: how far it is, what is in its way, what can be done about it, and what became of it. */
export function UploadRow({ upload, queue, team }: Props) {
  const { name, state } = upload;
  const outcome = queue.outcomeOf(upload);
  const video = outcome === "gone" ? undefined : state === "done" ? upload.completed?.video_id : upload.known?.id;
  const isKnown = state === "known";
  return (
    <li data-state={state}>
      <div class="line">
        <span class="name">{name}</span>
        <span class="buttons">
          {video && (
            <a class="button" href={`/t/${team.id}/videos/${video}`} aria-label={`Open ${name}`}>
              Open
            </a>
          )}
          {isKnown && <Do what="Send anyway" name={name} onDo={() => upload.sendAgain()} />}
          {upload.isUnderWay && state !== "completing" && <Do what="Pause" name={name} onDo={() => upload.pause()} />}
          {state === "paused" && <Do what="Continue" name={name} onDo={() => upload.start()} />}
          {state === "failed" && <Do what="Try again" name={name} onDo={() => upload.start()} />}
          <Ending upload={upload} queue={queue} />
        </span>
      </div>
      {state === "done" ? (
        <Became upload={upload} outcome={outcome} />
      ) : (
        <>
          <progress aria-label={name} max={upload.file.size || 1} value={upload.sentBytes} />
          <p class={state === "failed" || upload.problem ? "trouble" : "soft"}>{stateText(upload, queue)}</p>
        </>
      )}
    </li>
  );
}

/** What became of a file that is sent. */
function Became({ upload, outcome }: { upload: FileUpload; outcome: Outcome | undefined }) {
  if (upload.problem) {
    return <p class="trouble">Sent, but not analysed: {upload.problem}</p>;
  }
  if (outcome === undefined || outcome === "gone") {
    return <p class="soft">{outcome === "gone" ? "Sent, and erased since" : "Sent"}</p>;
  }
  const told = tell(outcome);
  const people = told.kind === "good" ? tellPeople(outcome.run?.most_people) : undefined;
  return (
    <>
      {told.done !== undefined && (
        <progress aria-label={`How much of ${upload.name} is analysed`} max={1} value={told.done} />
      )}
      <p class={{ bad: "trouble", good: "good", busy: "soft", quiet: "soft" }[told.kind]}>
        {told.kind === "busy" || told.kind === "quiet" ? `Sent. ${told.words}` : told.words}
        {people && `, ${people}`}
        {told.kind === "bad" && outcome.reason && `: ${outcome.reason}`}
      </p>
    </>
  );
}

/** Take it off the list, and off the server where it is not whole there. */
function Ending({ upload, queue }: Omit<Props, "team">) {
  const { name, state } = upload;
  if (state === "completing" || state === "cancelling") {
    return null;
  }
  if (state === "done" || state === "cancelled" || state === "known") {
    return <Do what="Remove from list" name={name} onDo={() => queue.drop(upload)} />;
  }
  return <Do what="Cancel" name={name} onDo={() => void upload.cancel()} />;
}

function Do({ what, name, onDo }: { what: string; name: string; onDo: () => void }) {
  return (
    <button type="button" aria-label={`${what}: ${name}`} onClick={onDo}>
      {what}
    </button>
  );
}

function stateText(upload: FileUpload, queue: UploadQueue): string {
  const sent = `${formatBytes(upload.sentBytes)} of ${formatBytes(upload.file.size)}`;
  switch (upload.state) {
    case "waiting":
      return `Waits for its turn, ${formatBytes(upload.file.size)}`;
    case "checking":
      return "Checks what is here already";
    case "known":
      return upload.known?.certain
        ? `This video is here already, as ${upload.known.name}.`
        : `A video of the same size and beginning is here already, as ${upload.known?.name}.`;
    case "sending": {
      const left = queue.secondsLeft(upload);
      const resumed = upload.resumed ? ", goes on where it stopped" : "";
      return `${sent}${left === undefined ? "" : `, about ${formatDuration(left)} left`}${resumed}`;
    }
    case "retrying":
      return `${sent}. ${upload.problem} Tries again by itself.`;
    case "paused":
      return `Paused at ${sent}`;
    case "completing":
      return "All is sent; the server puts it together";
    case "done":
      return "Sent";
    case "failed":
      return upload.problem;
    case "cancelling":
      return "Removes it from the server";
    case "cancelled":
      return "Cancelled; nothing of it is on the server";
  }
}
