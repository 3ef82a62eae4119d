import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api.ts";
import { Field } from "../form.tsx";
import { Frame } from "../frame.tsx";
import { InsecureNotice } from "../insecure.tsx";
import type { PageProps } from "../pages.ts";
import { Failure, useAction, useLoaded } from "../parts.tsx";
import type { Room, UploadOut } from "../schema.ts";
import { includes, type Team } from "../session.ts";
import { parseTags } from "../tags.ts";
import { droppedFiles, seemsVideo } from "../upload/dropped.ts";
import type { UploadQueue } from "../upload/queue.ts";
import { queueOf, uploadsChanged } from "../upload/queues.ts";
import { SentList } from "../upload/sent_list.tsx";
import { formatBytes } from "../upload/speed.ts";
import "../upload/upload.css";

/** Drop videos, see them leave, and go on with those that were broken off. */
export default function UploadPage({ team }: PageProps) {
  if (!team || !includes(team.role, "coach")) {
    return (
      <Frame title="Upload" team={team}>
        <p>Only coaches and owners of a team upload videos. Ask an owner for that role.</p>
      </Frame>
    );
  }
  return (
    <Frame title="Upload" team={team}>
      <InsecureNotice />
      <Uploads team={team} />
    </Frame>
  );
}

function Uploads({ team }: { team: Team }) {
  const queue = queueOf(team.id);
  void uploadsChanged.value;
  const busy = queue.isUnderWay;
  const listed = useLoaded(`${team.id} ${busy} ${queue.files.length}`, (signal) => queue.requests.list(signal));
  const here = new Set(queue.files.map((each) => `${each.file.name} ${each.file.size} ${each.file.lastModified}`));
  const brokenOff = (listed.value?.items ?? []).filter(
    (each) => !here.has(`${each.name} ${each.size_bytes} ${each.modified_ms}`),
  );
  return (
    <>
      <Picker queue={queue} room={listed.value?.room} />
      {queue.files.length > 0 && <SentList queue={queue} team={team} />}
      {brokenOff.length > 0 && <BrokenOff uploads={brokenOff} queue={queue} onChange={() => void listed.reload()} />}
      <Failure error={listed.error} />
    </>
  );
}

interface Model {
  readonly name: string;
  readonly for_whom: string | null;
  readonly on_this_machine: boolean;
}

function Picker({ queue, room }: { queue: UploadQueue; room: Room | undefined }) {
  const [over, setOver] = useState(false);
  const [skipped, setSkipped] = useState(0);
  const [tags, setTags] = useState("");
  const [model, setModel] = useState("");
  const action = useAction();
  const picked = (files: Promise<File[]>) =>
    action.run(async () => {
      const all = await files;
      const videos = all.filter(seemsVideo);
      setSkipped(all.length - videos.length);
      queue.add(videos, { tags: parseTags(tags), ...(model ? { model } : {}) });
    });
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer) {
      void picked(droppedFiles(event.dataTransfer));
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is one more way beside the buttons in it
    <div
      class={`panel drop ${over ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <p>
        <strong>Drop videos or a folder here</strong>
      </p>
      <div class="choices">
        <PickButton label="Choose videos" main onPicked={(files) => void picked(Promise.resolve(files))} />
        <PickButton label="Choose a folder" folder onPicked={(files) => void picked(Promise.resolve(files))} />
      </div>
      <p class="soft">{roomText(room)}</p>
      <Options tags={tags} onTags={setTags} model={model} onModel={setModel} />
      <Failure error={action.error} />
      {skipped > 0 && (
        <p role="status">{skipped === 1 ? "1 file is" : `${skipped} files are`} no video, and left out.</p>
      )}
    </div>
  );
}

interface OptionsProps {
  readonly tags: string;
  readonly onTags: (tags: string) => void;
  readonly model: string;
  readonly onModel: (model: string) => void;
}

/** What is said once of all videos that are chosen next. */
function Options({ tags, onTags, model, onModel }: OptionsProps) {
  const { value } = useLoaded("models", (signal) => get<{ items: readonly Model[] }>("/models", { signal }));
  const models = (value?.items ?? []).filter((each) => each.on_this_machine);
  return (
    <details>
      <summary>{models.length > 1 ? "Tags and model" : "Tags"} for these videos</summary>
      <div class="options">
        <Field label="Tags" hint="Such as: season=2026, match=home">
          <input value={tags} onInput={(event) => onTags(event.currentTarget.value)} />
        </Field>
        {models.length > 1 && (
          <Field label="Model" hint={models.find((each) => each.name === model)?.for_whom ?? ""}>
            <select value={model} onChange={(event) => onModel(event.currentTarget.value)}>
              <option value="">The usual one</option>
              {models.map((each) => (
                <option key={each.name} value={each.name}>
                  {each.name}
                </option>
              ))}
            </select>
          </Field>
        )}
      </div>
    </details>
  );
}

function roomText(room: Room | undefined): string {
  if (!room) {
    return " ";
  }
  if (room.short_of) {
    return `No videos are taken in for now: ${room.short_of}. What you choose waits, and goes on when there is room.`;
  }
  const left = room.left_bytes === null ? "" : ` Your team has ${formatBytes(room.left_bytes)} left.`;
  return `Up to ${formatBytes(room.max_bytes)} each.${left}`;
}

interface PickProps {
  readonly label: string;
  readonly main?: boolean;
  readonly folder?: boolean;
  readonly onPicked: (files: File[]) => void;
}

function PickButton({ label, main, folder, onPicked }: PickProps) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (folder) {
      input.current?.setAttribute("webkitdirectory", "");
    }
  }, [folder]);
  return (
    <>
      <button type="button" class={main ? "main" : ""} onClick={() => input.current?.click()}>
        {label}
      </button>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label={label}
        {...(folder ? {} : { accept: "video/*,.mkv,.mts,.m2ts,.ts,.mxf,.avi,.insv,.lrv" })}
        onChange={(event) => {
          onPicked(Array.from(event.currentTarget.files ?? []));
          event.currentTarget.value = "";
        }}
      />
    </>
  );
}

interface BrokenOffProps {
  readonly uploads: readonly UploadOut[];
  readonly queue: UploadQueue;
  readonly onChange: () => void;
}

function BrokenOff({ uploads, queue, onChange }: BrokenOffProps) {
  const action = useAction();
  const giveUp = async (upload: UploadOut) => {
    await action.run(() => queue.requests.giveUp(upload.id));
    onChange();
  };
  return (
    <section aria-labelledby="broken-off">
      <h2 id="broken-off">Not sent whole</h2>
      <p>Choose or drop the same file again, and it goes on where it stopped.</p>
      <Failure error={action.error} />
      <ul class="uploads">
        {uploads.map((each) => (
          <li key={each.id}>
            <div class="line">
              <span class="name">{each.name}</span>
              <button type="button" class="quiet" aria-label={`Give up ${each.name}`} onClick={() => void giveUp(each)}>
                Give up
              </button>
            </div>
            <p class="soft">
              {formatBytes(each.stored_bytes)} of {formatBytes(each.size_bytes)} are here, begun by {each.begun_by}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
