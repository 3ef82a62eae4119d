/** Record, and what becomes of a recording: it is uploaded as any video, saved, or removed. */

import { useCallback, useEffect, useState } from "preact/hooks";
import { messageOf } from "../../api.ts";
import { askBeforeLeaving } from "../../router.ts";
import { formatBytes } from "../../upload/speed.ts";
import { trackOf } from "../camera.ts";
import type { CameraSession } from "../camera_session.ts";
import type { Progress } from "./record_messages.ts";
import type { Finished } from "./recorder.ts";
import { RecordingRow } from "./recording_row.tsx";
import { listRecordings } from "./recordings.ts";

const LEAVING = "A recording is going on. Leave, and end it? What was recorded so far is kept on this device.";
const LOSING = "This browser keeps recordings only while this page is open. Leave, and lose them?";

export function useRecording(session: CameraSession) {
  const [progress, setProgress] = useState<Progress>();
  const [held, setHeld] = useState<readonly Finished[]>([]);
  const [error, setError] = useState<string>();
  const [kept, setKept] = useState<readonly File[]>([]);
  const refresh = useCallback(() => {
    listRecordings().then(setKept, () => setKept([]));
  }, []);
  useEffect(refresh, [refresh]);
  const isRecording = progress !== undefined;
  const start = async () => {
    const camera = session.camera.value;
    if (camera.kind !== "on") {
      return;
    }
    setError(undefined);
    setProgress({ frames: 0, missed: 0, seconds: 0, bytes: 0 });
    // Else a browser that is short of room may throw recordings away; asked now, when there is a reason.
    void navigator.storage?.persist?.().catch(() => false);
    try {
      const rate = camera.delivered.frameRate ?? session.choice.value.frameRate;
      const done = await session.recorder.record(trackOf(camera.stream), rate, setProgress);
      setHeld((before) => [done, ...before]);
      setError(done.trouble || undefined);
    } catch (reason) {
      setError(messageOf(reason));
    }
    setProgress(undefined);
    refresh();
  };
  const inMemory = held.map(({ file }) => file).filter((file) => !kept.some((each) => each.name === file.name));
  const question = isRecording ? LEAVING : inMemory.length > 0 ? LOSING : undefined;
  useEffect(() => (question ? askBeforeLeaving(question) : undefined), [question]);
  const toldOf = (file: File) => held.find((each) => each.file.name === file.name);
  const forget = (file: File) => {
    setHeld((before) => before.filter((each) => each.file.name !== file.name));
    refresh();
  };
  return {
    progress,
    error,
    files: [...inMemory, ...kept],
    inMemory,
    toldOf,
    start,
    stop: () => session.recorder.stop(),
    forget,
  };
}

interface Props {
  readonly recording: ReturnType<typeof useRecording>;
  readonly isOn: boolean;
}

export function RecordButton({ recording: { progress, error, start, stop }, isOn }: Props) {
  return (
    <div class="record">
      {progress ? (
        <button type="button" class="main stop" onClick={stop}>
          Stop
        </button>
      ) : (
        <button type="button" class="main" disabled={!isOn} onClick={() => void start()}>
          Record
        </button>
      )}
      {progress && (
        <p>
          <span class="dot" aria-hidden="true" /> <strong>{clock(progress.seconds)}</strong>{" "}
          <span class="soft">
            {progress.frames !== undefined && `${progress.frames} frames, `}
            {formatBytes(progress.bytes)}
            {progress.missed > 0 && `; ${progress.missed} frames did not come`}
          </span>
        </p>
      )}
      {error && (
        <p role="alert" class="failure">
          {error}
        </p>
      )}
    </div>
  );
}

export function RecordingList({ recording: { files, inMemory, toldOf, forget } }: Pick<Props, "recording">) {
  return files.length === 0 ? null : (
    <section aria-labelledby="recordings">
      <h2 id="recordings">Recordings on this device</h2>
      <p class="soft">
        They are kept in this browser, without sound, until they are removed.
        {inMemory.length > 0 && " This browser keeps new ones only while the page is open: upload or save them before."}
      </p>
      <ul class="uploads">
        {files.map((file) => (
          <RecordingRow key={file.name} file={file} told={toldOf(file)} onRemoved={() => forget(file)} />
        ))}
      </ul>
    </section>
  );
}

/** `3:07`. */
function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
