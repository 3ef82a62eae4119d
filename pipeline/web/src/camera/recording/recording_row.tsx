/** One recording, and its way to the server. */

import { useState } from "preact/hooks";
import { Field } from "../../form.tsx";
import { Failure, useAction } from "../../parts.tsx";
import { saveFile } from "../../save_file.ts";
import { includes, lastTeam, me, type Team } from "../../session.ts";
import { SignInForm } from "../../sign_in_form.tsx";
import { queueOf, uploadsChanged } from "../../upload/queues.ts";
import { formatBytes } from "../../upload/speed.ts";
import { UploadRow } from "../../upload/upload_row.tsx";
import type { Progress } from "./record_messages.ts";
import { removeRecording } from "./recordings.ts";

interface Props {
  readonly file: File;
  /** Of a recording of this visit. */
  readonly told: Progress | undefined;
  readonly onRemoved: () => void;
}

export function RecordingRow({ file, told, onRemoved }: Props) {
  const [open, setOpen] = useState(false);
  const [sentTo, setSentTo] = useState<Team>();
  const action = useAction();
  const remove = () =>
    action.run(async () => {
      if (window.confirm(`Remove ${file.name} from this device?`)) {
        await removeRecording(file.name);
        onRemoved();
      }
    });
  void uploadsChanged.value;
  const queue = sentTo && queueOf(sentTo.id);
  const upload = queue?.files.find((each) => each.file === file);
  return (
    <li>
      <div class="line">
        <span class="name">{file.name}</span>
        <span class="buttons">
          {!upload && (
            <button type="button" class="main" aria-expanded={open} onClick={() => setOpen(!open)}>
              Upload
            </button>
          )}
          <button type="button" onClick={() => saveFile(file, file.name)}>
            Save file
          </button>
          <button type="button" class="danger" disabled={upload?.isUnderWay} onClick={() => void remove()}>
            Remove
          </button>
        </span>
      </div>
      <p class="soft">
        {told && `${told.seconds.toFixed(1)} s, `}
        {told?.frames !== undefined && `${told.frames} frames, `}
        {formatBytes(file.size)}, {new Date(file.lastModified).toLocaleString()}
      </p>
      <Failure error={action.error} />
      {open && !upload && <Sending file={file} onTeam={setSentTo} />}
      {queue && upload && (
        <ul class="uploads">
          <UploadRow upload={upload} queue={queue} team={sentTo} />
        </ul>
      )}
    </li>
  );
}

/** Whose video it becomes; who is not signed in does that here, without leaving the page. */
function Sending({ file, onTeam }: { file: File; onTeam: (team: Team) => void }) {
  const who = me.value;
  const teams = (who?.teams ?? []).filter((team) => includes(team.role, "coach"));
  const [chosen, setChosen] = useState<string>();
  if (who?.kind !== "account") {
    return (
      <div class="panel">
        <p>Sign in to upload it.</p>
        <SignInForm />
      </div>
    );
  }
  const team = teams.find((each) => each.id === (chosen ?? lastTeam(who)?.id)) ?? teams[0];
  if (!team) {
    return <p>Only coaches and owners of a team upload videos. Ask an owner for that role.</p>;
  }
  const send = () => {
    queueOf(team.id).add([file], { tags: {} });
    onTeam(team);
  };
  return (
    <form
      class="row panel"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <Field label="Team">
        <select value={team.id} onChange={(event) => setChosen(event.currentTarget.value)}>
          {teams.map((each) => (
            <option key={each.id} value={each.id}>
              {each.name}
            </option>
          ))}
        </select>
      </Field>
      <button type="submit" class="main">
        Upload to {team.name}
      </button>
    </form>
  );
}
