import { useEffect, useRef, useState } from "preact/hooks";
import { CameraControls } from "../camera/camera_controls.tsx";
import type { ModelState } from "../camera/camera_session.ts";
import { cameraTrouble } from "../camera/camera_trouble.ts";
import { Meter } from "../camera/meter.tsx";
import { WHOLE } from "../camera/preview_loop.ts";
import { PREVIEW_STAGES } from "../camera/stage_times.ts";
import { Field } from "../form.tsx";
import { Frame } from "../frame.tsx";
import { AgreementPanel } from "../live/agreement_panel.tsx";
import { Fates } from "../live/fates.tsx";
import { KeepChoice, KeptLine, promise } from "../live/kept.tsx";
import { LiveSession } from "../live/live_session.ts";
import { LiveStage } from "../live/live_stage.tsx";
import { ModeChoice } from "../live/mode_choice.tsx";
import { FULL_STAGES } from "../live/stages.ts";
import { StatusLine } from "../live/status_line.tsx";
import type { PageProps } from "../pages.ts";
import type { Detail } from "../player/overlay.ts";
import { includes, type Team } from "../session.ts";
import { formatBytes } from "../upload/speed.ts";
import "../live/live.css";
import "../camera/invite.css";

/** Poses while the camera films: found on this device, by the server, or by both. */
export default function LivePage({ team }: PageProps) {
  if (!team || !includes(team.role, "coach")) {
    return (
      <Frame title="Live" team={team}>
        <p>
          Only coaches and owners of a team film live; ask an owner for that role. The <a href="/camera">camera page</a>{" "}
          needs none.
        </p>
      </Frame>
    );
  }
  return (
    <Frame title="Live" team={team} wide>
      {window.isSecureContext ? (
        <Live key={team.id} team={team} />
      ) : (
        <p role="alert">{cameraTrouble(undefined, false)}</p>
      )}
    </Frame>
  );
}

function Live({ team }: { team: Team }) {
  const [session] = useState(() => new LiveSession(team.id));
  useEffect(() => () => session.close(), [session]);
  const camera = session.camera.state.value;
  const isOn = camera.kind === "on";
  const { shown } = session;
  const stop = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // "Start" has gone with the focus.
    if (isOn && document.activeElement === document.body) {
      stop.current?.focus({ preventScroll: true });
    }
  }, [isOn]);
  return (
    <div class="live">
      <ModeChoice mode={session.chosen.value} onChoose={(mode) => session.choose(mode)} />
      <LiveStage session={session}>
        {!isOn && (
          <div class="invite">
            {camera.kind === "trouble" && <p role="alert">{camera.text}</p>}
            <button
              type="button"
              class="main"
              disabled={camera.kind === "opening"}
              onClick={() => void session.start()}
            >
              Start
            </button>
            {session.chosen.value !== "preview" && <KeepChoice session={session} />}
            <p class="soft">{promise(session)}</p>
          </div>
        )}
      </LiveStage>
      <div class="live-under">
        <div class="live-bar">
          {isOn && (
            <button ref={stop} type="button" onClick={() => session.stop()}>
              Stop
            </button>
          )}
          {isOn && shown === "full" && <DetailChoice session={session} />}
          {isOn && shown === "hybrid" && (
            <label class="live-check">
              <input
                type="checkbox"
                checked={session.showsLayer.value}
                onChange={({ currentTarget }) => {
                  session.showsLayer.value = currentTarget.checked;
                }}
              />
              Server's layer
            </label>
          )}
        </div>
        <StatusLine session={session} />
        <KeptLine session={session} team={team.id} />
        {(shown === "preview" || shown === "hybrid") && <ModelText state={session.model.value} />}
        {shown === "hybrid" && <AgreementPanel session={session} />}
      </div>
      <div class="live-told">
        <Times session={session} />
        <Fates session={session} />
        <section class="live-camera" aria-labelledby="camera">
          <h2 id="camera">Camera</h2>
          <CameraControls session={cameraOf(session)} locked={false} />
          <p class="soft">
            To judge light, sharpness and framing, <a href="/camera">open the camera page</a>.
          </p>
        </section>
      </div>
    </div>
  );
}

function cameraOf({ camera }: LiveSession) {
  const { choice, cameras } = camera;
  const choose = (change: Parameters<typeof camera.choose>[0]) => camera.choose(change);
  return { camera: camera.state, cameras, choice, choose };
}

function DetailChoice({ session }: { session: LiveSession }) {
  return (
    <Field label="Show">
      <select
        value={session.detail.value}
        onChange={({ currentTarget: { value } }) => {
          session.detail.value = value as Detail;
        }}
      >
        <option value="skeletons">Skeletons</option>
        <option value="joints">Joints</option>
        <option value="nothing">Nothing</option>
      </select>
    </Field>
  );
}

function ModelText({ state }: { state: ModelState | undefined }) {
  if (state?.kind === "loading") {
    return (
      <p role="status" class="soft">
        Loads the preview, once
        {state.total > 0 && `: ${formatBytes(state.loaded)} of ${formatBytes(state.total)}`}.
      </p>
    );
  }
  return state?.kind === "failed" ? (
    <p role="status" class="live-status trouble">
      There is no preview: {state.reason}
    </p>
  ) : null;
}

function Times({ session }: { session: LiveSession }) {
  void session.told.value;
  const { shown } = session;
  const model = session.model.value;
  const onProcessor = model?.kind === "ready" && model.inference === "cpu";
  return (
    <>
      {(shown === "preview" || shown === "hybrid") && (
        <section class="live-times" aria-labelledby="preview-times">
          <h2 id="preview-times">How long the preview takes</h2>
          <Meter
            stages={PREVIEW_STAGES}
            times={session.previewTimes}
            whole={WHOLE}
            why={
              onProcessor
                ? "It runs on this device's processor, since the browser has no graphics card for it."
                : "This device is slower than the budget assumes, or busy with something else."
            }
          />
        </section>
      )}
      {(shown === "full" || shown === "hybrid") && (
        <section class="live-times" aria-labelledby="server-times">
          <h2 id="server-times">How long a frame of the server takes</h2>
          <Meter stages={FULL_STAGES} times={session.serverTimes} whole={WHOLE} why={slowest(session)} />
        </section>
      )}
    </>
  );
}

/** The stage that is furthest over its budget, in words. */
function slowest({ serverTimes }: LiveSession): string {
  const over = FULL_STAGES.map(({ name, budgetMs }) => ({
    name,
    ms: (serverTimes.of(name)?.medianMs ?? 0) - budgetMs,
  })).sort((one, other) => other.ms - one.ms)[0];
  return over && over.ms > 0 ? `Most of it is ${over.name.toLowerCase()}, ${Math.round(over.ms)} ms over its own.` : "";
}
