/** A camera: which there are, opening one, and its frames with the times at which they were captured. */

import { deviceCaptureMs, FastestDelay } from "./capture_time.ts";

/** What a person asked for. Cameras give what they can that is near to it; `deliveredBy` tells what that is. */
export interface CameraChoice {
  /** Empty: the camera that looks away from the screen where there is one, else any. */
  readonly deviceId: string;
  /** Of phones: `environment` looks away from the screen, `user` at whoever holds it. */
  readonly facing: "environment" | "user";
  readonly width: number;
  readonly height: number;
  /** Frames a second. */
  readonly frameRate: number;
}

export const USUAL: CameraChoice = { deviceId: "", facing: "environment", width: 1280, height: 720, frameRate: 30 };

/** What the open camera says that it gives. */
export interface Delivered {
  readonly label: string;
  readonly deviceId: string;
  readonly width: number;
  readonly height: number;
  /** Undefined where the browser does not say it. */
  readonly frameRate: number | undefined;
  readonly facing: string | undefined;
}

/** One frame. Who is given it closes `frame`. */
export interface CameraFrame {
  readonly frame: VideoFrame | ImageBitmap;
  /** Of `performance.now()`'s clock, in ms. */
  readonly capturedAtMs: number;
  /** From the capture until the page had the frame, in ms. */
  readonly captureMs: number;
  /** Counts the frames that this camera has given: 1, 2, 3 … */
  readonly id: number;
  /** As displayed, in px. */
  readonly width: number;
  readonly height: number;
}

/** Open a camera, without sound. Throws what `getUserMedia` throws; `cameraTrouble` says it in words. */
export function openCamera(choice: CameraChoice): Promise<MediaStream> {
  if (!navigator.mediaDevices) {
    throw new DOMException("", window.isSecureContext ? "NotSupportedError" : "SecurityError");
  }
  return navigator.mediaDevices.getUserMedia({ audio: false, video: constraintsOf(choice) });
}

/** Let an open camera give something else, without asking again. */
export async function changeCamera(track: MediaStreamTrack, choice: CameraChoice): Promise<void> {
  await track.applyConstraints(constraintsOf(choice));
}

function constraintsOf(choice: CameraChoice): MediaTrackConstraints {
  return {
    ...(choice.deviceId ? { deviceId: { exact: choice.deviceId } } : { facingMode: { ideal: choice.facing } }),
    width: { ideal: choice.width },
    height: { ideal: choice.height },
    frameRate: { ideal: choice.frameRate },
    // The sensor's own modes: no picture that the browser scaled up, no frames that it doubled or left out.
    ...{ resizeMode: { ideal: "none" } },
  };
}

/** The cameras of this device. Before the permission browsers keep their names back. */
export async function listCameras(): Promise<MediaDeviceInfo[]> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((each) => each.kind === "videoinput" && each.deviceId !== "");
}

/** The one video track of a camera's stream. */
export function trackOf(stream: MediaStream): MediaStreamVideoTrack {
  const [track] = stream.getVideoTracks();
  if (!track) {
    throw new Error("the camera's stream has no picture");
  }
  return track;
}

export function deliveredBy(track: MediaStreamTrack): Delivered {
  const told = track.getSettings();
  return {
    label: track.label,
    deviceId: told.deviceId ?? "",
    width: told.width ?? 0,
    height: told.height ?? 0,
    frameRate: told.frameRate,
    facing: told.facingMode,
  };
}

/** What a camera can give. Empty where the browser does not say it (Firefox before 132). */
export function capabilitiesOf(track: MediaStreamTrack): MediaTrackCapabilities {
  return track.getCapabilities?.() ?? {};
}

/** Call `onFrame` with each frame of a camera until the returned function is called or the camera ends. */
export function frames(stream: MediaStream, onFrame: (frame: CameraFrame) => void): () => void {
  return "MediaStreamTrackProcessor" in window
    ? processedFrames(trackOf(stream), onFrame)
    : presentedFrames(stream, onFrame);
}

function processedFrames(track: MediaStreamVideoTrack, onFrame: (frame: CameraFrame) => void): () => void {
  // Of a frame that nobody has taken only the next is kept: a page that is late drops frames, and does not lag behind.
  const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 1 }).readable.getReader();
  const fastest = new FastestDelay();
  let stopped = false;
  let id = 0;
  const read = async () => {
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done || !frame) {
        return;
      }
      const now = performance.now();
      if (stopped) {
        frame.close();
        continue;
      }
      const captureMs = deviceCaptureMs(frame, now) ?? fastest.delayMs(now, frame.timestamp / 1000);
      const { displayWidth: width, displayHeight: height } = frame;
      onFrame({ frame, capturedAtMs: now - captureMs, captureMs, id: ++id, width, height });
    }
  };
  read().catch(() => undefined); // the camera was taken away; its track says so
  return () => {
    stopped = true;
    reader.cancel().catch(() => undefined);
  };
}

/** Firefox and Safari: the frames that a `<video>` presents. */
function presentedFrames(stream: MediaStream, onFrame: (frame: CameraFrame) => void): () => void {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  let stopped = false;
  let id = 0;
  const next = () => {
    video.requestVideoFrameCallback(async (now, told) => {
      const capturedAtMs = told.captureTime ?? now;
      const frame = await createImageBitmap(video).catch(() => undefined);
      if (stopped) {
        frame?.close();
        return;
      }
      next();
      if (!frame) {
        return; // the next one may be there
      }
      const captureMs = performance.now() - capturedAtMs;
      onFrame({ frame, capturedAtMs, captureMs, id: ++id, width: frame.width, height: frame.height });
    });
  };
  next();
  video.play().catch(() => undefined); // it was stopped at once
  return () => {
    stopped = true;
    video.srcObject = null;
  };
}
