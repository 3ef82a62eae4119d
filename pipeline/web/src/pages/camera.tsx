import { useEffect, useState } from "preact/hooks";
import { CameraControls, DeliveredText } from "../camera/camera_controls.tsx";
import { CameraSession, type ModelState } from "../camera/camera_session.ts";
import { HintList } from "../camera/hint_list.tsx";
import { LevelControls, NO_AIDS } from "../camera/level_controls.tsx";
import { Meter } from "../camera/meter.tsx";
import { WHOLE } from "../camera/preview_loop.ts";
import { RecordButton, RecordingList, useRecording } from "../camera/recording/record_panel.tsx";
import { PREVIEW_STAGES } from "../camera/stage_times.ts";
import { StageView } from "../camera/stage_view.tsx";
import { Frame } from "../frame.tsx";
import { lastTeam, me } from "../session.ts";
import { formatBytes } from "../upload/speed.ts";
import "../upload/upload.css";
import "../camera/camera.css";
import "../camera/invite.css";

/** Set a camera up, and film. Once it is ready it needs no network, and until something is uploaded no account. */
export default function CameraPage() {
  const [session] = useState(() => new CameraSession());
  useEffect(() => {
    void openIfAllowed(session);
    return () => session.close();
  }, [session]);
  const [aids, setAids] = useState(NO_AIDS);
  const recording = useRecording(session);
  const camera = session.camera.value;
  const isOn = camera.kind === "on";
  return (
    <Frame title="Camera" team={me.value && lastTeam(me.value)} wide>
      <div class="camera">
        <StageView session={session} grid={aids.grid} levelAt={aids.level === "off" ? undefined : aids.at}>
          {!isOn && (
            <div class="invite">
              {camera.kind === "trouble" && <p role="alert">{camera.text}</p>}
              <button
                type="button"
                class="main"
                disabled={camera.kind === "opening"}
                onClick={() => void session.open()}
              >
                Turn the camera on
              </button>
              <p class="soft">The picture stays on this device. Nothing is sent until you upload a recording.</p>
            </div>
          )}
        </StageView>
        <div class="under">
          <div class="bar">
            <RecordButton recording={recording} isOn={isOn} />
            {isOn && (
              <button type="button" disabled={recording.progress !== undefined} onClick={() => session.off()}>
                Turn off
              </button>
            )}
          </div>
          <ModelText state={session.model.value} />
          <DeliveredText session={session} />
        </div>
        <HintList hints={session.hints.value} />
        <section class="choose" aria-labelledby="choose">
          <h2 id="choose">Camera and aids</h2>
          <CameraControls session={session} locked={recording.progress !== undefined} />
          <LevelControls
            session={session}
            aids={aids}
            onChange={(change) => setAids((before) => ({ ...before, ...change }))}
          />
        </section>
        <Times session={session} />
      </div>
      <RecordingList recording={recording} />
    </Frame>
  );
}

/** Who has allowed the camera before need not press anything. */
async function openIfAllowed(session: CameraSession): Promise<void> {
  const name = "camera" as PermissionName; // Firefox before 131 does not know it
  const told = await navigator.permissions?.query({ name }).catch(() => undefined);
  if (told?.state === "granted" && session.camera.value.kind === "off") {
    await session.open();
  }
}

function ModelText({ state }: { state: ModelState }) {
  if (state.kind === "loading") {
    const share = state.total > 0 ? state.loaded / state.total : 0;
    return (
      <p role="status" class="model">
        Loads the preview, once
        {state.total > 0 && `: ${formatBytes(state.loaded)} of ${formatBytes(state.total)}`}
        {share >= 1 && "; it starts"}
        <progress aria-label="Preview" max={1} {...(share > 0 ? { value: share } : {})} />
      </p>
    );
  }
  return (
    <p role="status" class="model soft">
      {state.kind === "ready"
        ? "Ready, also without a network. The preview follows one person, and is for setting up: the analysis finds everybody, and looks closer."
        : `There is no preview: ${state.reason} Picture and recording work without it.`}
    </p>
  );
}

function Times({ session }: { session: CameraSession }) {
  void session.told.value;
  const model = session.model.value;
  const why =
    model.kind === "ready" && model.inference === "cpu"
      ? "The preview runs on this device's processor, since the browser has no graphics card for it."
      : "This device is slower than the budget assumes, or busy with something else.";
  return (
    <section class="times" aria-labelledby="times">
      <h2 id="times">How long a picture takes</h2>
      <Meter stages={PREVIEW_STAGES} times={session.times} whole={WHOLE} why={why} />
    </section>
  );
}
