/**
 * The pose of one person in a picture, found in this browser. Behind it is MediaPipe Pose (lite), in a worker of its own,
 * from this server's own files; who uses it need not know.
 */

import solution from "@mediapipe/pose/pose.js?url";
import landmarks from "@mediapipe/pose/pose_landmark_lite.tflite?url";
import detector from "@mediapipe/pose/pose_solution_packed_assets.data?url";
import loader from "@mediapipe/pose/pose_solution_packed_assets_loader.js?url";
import wasmLoader from "@mediapipe/pose/pose_solution_simd_wasm_bin.js?url";
import wasm from "@mediapipe/pose/pose_solution_simd_wasm_bin.wasm?url";
import graph from "@mediapipe/pose/pose_web.binarypb?url";
import type { CameraFrame } from "./camera.ts";
import type { Answer, Files, Inference, Order } from "./preview_messages.ts";

/** What was found in one frame. */
export interface Preview {
  /**
   * `(33, 4)`, row by row: x and y in px of the frame, z in px towards the camera from the hips on, visibility 0 to 1.
   * Undefined where nobody was seen.
   */
  readonly keypoints: Float32Array | undefined;
  /** From the frame's arrival in the worker until its pose was found. */
  readonly processMs: number;
}

export interface PreviewModel {
  /** Where it computes. */
  readonly inference: Inference;
  /** Find the person; the frame stays its owner's. One call at a time. */
  find(frame: CameraFrame): Promise<Preview>;
  close(): void;
}

/** By the names under which MediaPipe asks for them. */
const FILES: Files = {
  "pose.js": solution,
  "pose_solution_packed_assets_loader.js": loader,
  "pose_solution_packed_assets.data": detector,
  "pose_solution_simd_wasm_bin.js": wasmLoader,
  "pose_solution_simd_wasm_bin.wasm": wasm,
  "pose_landmark_lite.tflite": landmarks,
  "pose_web.binarypb": graph,
};

/** All of them that are no scripts, unpacked. */
const BYTES = 11_887_491;

/**
 * Load the model and run it once, so that nothing is asked of the network, and nothing compiled, afterwards.
 *
 * @param onProgress is called with the bytes that have come, and those that will have, unpacked.
 */
export function loadPreviewModel(
  onProgress: (loaded: number, total: number) => void,
  signal: AbortSignal,
): Promise<PreviewModel> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./preview_worker.ts", import.meta.url));
    const fail = (reason: unknown) => {
      worker.terminate();
      reject(reason);
    };
    signal.addEventListener("abort", () => fail(signal.reason), { once: true });
    worker.onerror = (event) => fail(new Error(event.message || "The preview's worker could not be started."));
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.kind === "progress") {
        onProgress(data.loaded, data.total);
      } else if (data.kind === "failed") {
        fail(new Error(data.reason));
      } else if (data.kind === "ready") {
        resolve(new WorkerModel(worker, data.inference));
      }
    };
    send(worker, { kind: "load", files: FILES, bytes: BYTES });
  });
}

class WorkerModel implements PreviewModel {
  readonly inference: Inference;
  private readonly worker: Worker;
  private waiting: { resolve: (found: Preview) => void; reject: (reason: unknown) => void } | undefined;

  constructor(worker: Worker, inference: Inference) {
    this.worker = worker;
    this.inference = inference;
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data.kind === "found") {
        this.waiting?.resolve(data);
      } else if (data.kind === "failed") {
        this.waiting?.reject(new Error(data.reason));
      }
    };
    worker.onerror = (event) => this.waiting?.reject(new Error(event.message));
  }

  async find({ frame, capturedAtMs, width, height }: CameraFrame): Promise<Preview> {
    const copy = frame instanceof ImageBitmap ? await createImageBitmap(frame) : frame.clone();
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      send(this.worker, { kind: "find", picture: copy, width, height, capturedAtMs }, [copy]);
    });
  }

  close(): void {
    this.worker.terminate();
    this.waiting?.reject(new DOMException("the preview was closed", "AbortError"));
  }
}

function send(worker: Worker, order: Order, transfer: Transferable[] = []): void {
  worker.postMessage(order, transfer);
}
