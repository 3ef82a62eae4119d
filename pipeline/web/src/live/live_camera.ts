/** The camera of the live page: chosen, opened, and its frames numbered over all the cameras that were open. */

import { batch, signal } from "@preact/signals";
import {
  type CameraChoice,
  type CameraFrame,
  capabilitiesOf,
  deliveredBy,
  frames,
  listCameras,
  openCamera,
  trackOf,
} from "../camera/camera.ts";
import type { CameraState } from "../camera/camera_session.ts";
import { CAMERA_ENDED, cameraTrouble } from "../camera/camera_trouble.ts";
import { readChoice, rememberChoice } from "../camera/choice.ts";
import { keepScreenOn } from "../camera/device_state.ts";

export class LiveCamera {
  readonly camera = signal<CameraState>({ kind: "off" });
  readonly cameras = signal<readonly MediaDeviceInfo[]>([]);
  readonly choice = signal<CameraChoice>(readChoice());
  /** Of the frames that came: width and height in px; 0 before the first. */
  readonly size = signal({ width: 0, height: 0 });
  private readonly onFrame: (frame: CameraFrame) => void;
  private turnOff: () => void = () => undefined;
  private opened = 0;
  private lastId = 0;

  /** @param onFrame is given each frame, and closes it; ids rise by 1, also from one camera to the next. */
  constructor(onFrame: (frame: CameraFrame) => void) {
    this.onFrame = onFrame;
  }

  /** Open the camera that is chosen, instead of one that is open. */
  async open(): Promise<void> {
    const opening = ++this.opened;
    this.turnOff();
    this.camera.value = { kind: "opening" };
    try {
      const stream = await openCamera(this.choice.value);
      if (opening !== this.opened) {
        stop(stream);
        return;
      }
      this.begin(stream);
      this.cameras.value = await listCameras();
    } catch (error) {
      if (opening === this.opened) {
        this.camera.value = { kind: "trouble", text: cameraTrouble(error, window.isSecureContext) };
      }
    }
  }

  choose(change: Partial<CameraChoice>): void {
    this.choice.value = { ...this.choice.value, ...change };
    rememberChoice(this.choice.value);
    if (this.camera.value.kind !== "off") {
      void this.open();
    }
  }

  off(): void {
    this.opened++;
    this.turnOff();
    this.camera.value = { kind: "off" };
  }

  private begin(stream: MediaStream): void {
    const track = trackOf(stream);
    const on = () => ({ kind: "on" as const, stream, delivered: deliveredBy(track), can: capabilitiesOf(track) });
    const ends = [frames(stream, (frame) => this.came(frame)), keepScreenOn(), () => stop(stream)];
    this.turnOff = () => {
      this.turnOff = () => undefined;
      for (const end of ends) {
        end();
      }
    };
    track.addEventListener("ended", () => {
      this.turnOff();
      this.camera.value = { kind: "trouble", text: CAMERA_ENDED };
    });
    batch(() => {
      this.size.value = { width: 0, height: 0 };
      this.camera.value = on();
    });
  }

  private came(frame: CameraFrame): void {
    const { width, height } = frame;
    if (width !== this.size.value.width || height !== this.size.value.height) {
      this.size.value = { width, height };
    }
    this.onFrame({ ...frame, id: ++this.lastId });
  }
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}
