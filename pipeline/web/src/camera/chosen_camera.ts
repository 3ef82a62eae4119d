/** The camera that is chosen: opened, closed and changed. Its frames are numbered over all that were open. */

import { batch, signal } from "@preact/signals";
import {
  type CameraChoice,
  type CameraFrame,
  capabilitiesOf,
  type Delivered,
  deliveredBy,
  frames,
  listCameras,
  openCamera,
  trackOf,
} from "./camera.ts";
import { CAMERA_ENDED, cameraTrouble } from "./camera_trouble.ts";
import { readChoice, rememberChoice } from "./choice.ts";
import { keepScreenOn } from "./device_state.ts";

export type CameraState =
  | { readonly kind: "off" | "opening" }
  | { readonly kind: "trouble"; readonly text: string }
  | {
      readonly kind: "on";
      readonly stream: MediaStream;
      readonly delivered: Delivered;
      readonly can: MediaTrackCapabilities;
    };

export class ChosenCamera {
  readonly state = signal<CameraState>({ kind: "off" });
  readonly cameras = signal<readonly MediaDeviceInfo[]>([]);
  readonly choice = signal<CameraChoice>(readChoice());
  /** Of the frames that came: width and height in px; 0 before the first. */
  readonly size = signal({ width: 0, height: 0 });
  private readonly onFrame: (frame: CameraFrame) => void;
  private readonly onChange: () => void;
  private turnOff: () => void = () => undefined;
  private opened = 0;
  private lastId = 0;

  /**
   * @param onFrame is given each frame, and closes it; ids rise by 1, also from one camera to the next.
   * @param onChange is called when a camera begins or ends.
   */
  constructor(onFrame: (frame: CameraFrame) => void, onChange: () => void = () => undefined) {
    this.onFrame = onFrame;
    this.onChange = onChange;
  }

  /** Open the camera that is chosen, instead of one that is open. */
  async open(): Promise<void> {
    const opening = ++this.opened;
    this.end({ kind: "opening" });
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
        this.end({ kind: "trouble", text: cameraTrouble(error, window.isSecureContext) });
      }
    }
  }

  /** Choose something else of the camera; an open one is opened anew. */
  choose(change: Partial<CameraChoice>): void {
    this.choice.value = { ...this.choice.value, ...change };
    rememberChoice(this.choice.value);
    if (this.state.value.kind !== "off") {
      void this.open();
    }
  }

  off(): void {
    this.opened++;
    this.end({ kind: "off" });
  }

  private begin(stream: MediaStream): void {
    const track = trackOf(stream);
    const on = () => ({ kind: "on" as const, stream, delivered: deliveredBy(track), can: capabilitiesOf(track) });
    const came = (frame: CameraFrame) => {
      const { width, height } = frame;
      if (width !== this.size.value.width || height !== this.size.value.height) {
        batch(() => {
          this.size.value = { width, height };
          this.state.value = on();
        });
      }
      this.onFrame({ ...frame, id: ++this.lastId });
    };
    this.onChange();
    const ends = [frames(stream, came), keepScreenOn(), () => stop(stream)];
    this.turnOff = () => {
      this.turnOff = () => undefined;
      for (const end of ends) {
        end();
      }
    };
    track.addEventListener("ended", () => this.end({ kind: "trouble", text: CAMERA_ENDED }));
    batch(() => {
      this.size.value = { width: 0, height: 0 };
      this.state.value = on();
    });
  }

  private end(state: CameraState): void {
    this.turnOff();
    this.onChange();
    this.state.value = state;
  }
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}
