/** What the page and the worker of the preview say to each other. */

/** Numbers of each keypoint: x, y, z, visibility. */
export const PER_KEYPOINT = 4;

/** Where a model computes: on the processor, or on the graphics card. */
export type Inference = "cpu" | "gpu";

/** The address of each file, by its name in the package. */
export type Files = Readonly<Record<string, string>>;

export type Order =
  /** `bytes` is how many there are to come. */
  | { readonly kind: "load"; readonly files: Files; readonly bytes: number }
  | {
      readonly kind: "find";
      /** The worker closes it. */
      readonly picture: VideoFrame | ImageBitmap;
      readonly width: number;
      readonly height: number;
      readonly capturedAtMs: number;
    };

export type Answer =
  | { readonly kind: "progress"; readonly loaded: number; readonly total: number }
  | { readonly kind: "ready"; readonly inference: Inference }
  | { readonly kind: "found"; readonly keypoints: Float32Array | undefined; readonly processMs: number }
  | { readonly kind: "failed"; readonly reason: string };
