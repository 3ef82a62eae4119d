/** Which camera, how large, how many frames a second; the grid and the level. */

import { Field } from "../form.tsx";
import { type CameraChoice, USUAL } from "./camera.ts";
import type { CameraSession } from "./camera_session.ts";
import { ratesFor, sizesFor } from "./choice.ts";

interface Props {
  readonly session: Pick<CameraSession, "camera" | "cameras" | "choice" | "choose">;
  /** While something is recorded nothing can be chosen. */
  readonly locked: boolean;
}

export function CameraControls({ session, locked }: Props) {
  const camera = session.camera.value;
  const { deviceId, facing, width, height, frameRate } = session.choice.value;
  const can = camera.kind === "on" ? camera.can : {};
  const sizes = withOwn(sizesFor(can), [width, height], ([one, two]) => `${one} × ${two}`);
  const rates = withOwn(ratesFor(can), frameRate, String);
  const listed = session.cameras.value;
  const choose = (change: Partial<CameraChoice>) => session.choose(change);
  return (
    <div class="camera-controls">
      <Field label="Camera">
        <select
          disabled={locked}
          value={listed.some((each) => each.deviceId === deviceId) ? deviceId : facing}
          onChange={({ currentTarget: { value } }) =>
            choose(value === "environment" || value === "user" ? { deviceId: "", facing: value } : { deviceId: value })
          }
        >
          <option value="environment">Back camera, or the only one</option>
          <option value="user">Front camera</option>
          {listed.map((each, index) => (
            <option key={each.deviceId} value={each.deviceId}>
              {each.label || `Camera ${index + 1}`}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Resolution">
        <select
          disabled={locked}
          value={`${width} × ${height}`}
          onChange={({ currentTarget: { value } }) => {
            const [wide, high] = value.split(" × ").map(Number);
            choose({ width: wide ?? USUAL.width, height: high ?? USUAL.height });
          }}
        >
          {sizes.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </Field>
      <Field label="Frames a second">
        <select
          disabled={locked}
          value={String(frameRate)}
          onChange={({ currentTarget: { value } }) => choose({ frameRate: Number(value) })}
        >
          {rates.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </Field>
    </div>
  );
}

/** The choices as texts, with the one that is chosen, though the camera may not have it. */
function withOwn<T>(offered: readonly T[], own: T, text: (each: T) => string): readonly string[] {
  const texts = offered.map(text);
  return texts.includes(text(own)) ? texts : [text(own), ...texts];
}

/** What the camera says that it gives, where that is not what was asked for. */
export function DeliveredText({ session }: { session: CameraSession }) {
  const camera = session.camera.value;
  if (camera.kind !== "on") {
    return null;
  }
  const { label } = camera.delivered;
  const { width, height } = session.size.value;
  const asked = session.choice.value;
  const same = Math.max(width, height) === asked.width && Math.min(width, height) === asked.height;
  const told = camera.delivered.frameRate;
  const rate =
    told === undefined || Math.abs(told - asked.frameRate) < 0.6 ? "" : `, ${Math.round(told)} frames a second`;
  return (
    <p class="soft delivered">
      {label || "The camera"} gives {width} × {height} px{rate}.
      {!same && ` It has no mode of ${asked.width} × ${asked.height} px; this is the nearest.`}
    </p>
  );
}
