/**
 * MediaPipe Pose in a worker. It was written for documents and for its own servers, so that this gives it a document that
 * can do two things, and every file from memory. It is a classic worker, as `importScripts` needs, and imports nothing.
 */

import type { Answer, Files, Inference, Order } from "./preview_messages.ts";

interface Landmark {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly visibility?: number;
}

interface Results {
  readonly image: ImageBitmap;
  readonly poseLandmarks?: readonly Landmark[];
}

/** The part of `@mediapipe/pose` that is used; its types lack `useCpuInference`. */
interface Solution {
  setOptions(options: Readonly<Record<string, unknown>>): void;
  onResults(listener: (results: Results) => void): void;
  initialize(): Promise<void>;
  send(inputs: { readonly image: OffscreenCanvas }, atMs: number): Promise<void>;
}

interface Globals {
  Pose: new (options: { readonly locateFile: (name: string) => string }) => Solution;
  window: unknown;
  document: unknown;
  alert: (text: string) => void;
  createMediapipeSolutionsPackedAssets: object;
}

const scope = self as unknown as Worker & Globals & { fetch: typeof fetch; importScripts: (url: string) => void };

/** The model looks at squares of 224 and 256 px; larger pictures only take longer to copy. */
const LONGEST_SIDE = 640;
/** With a real graphics card it takes 10 to 30 ms; this long means that the processor plays one. */
const SLOW_GPU_MS = 150;

let pose: Solution | undefined;
let latest: Results | undefined;
let lastMs = 0;
const canvas = new OffscreenCanvas(LONGEST_SIDE, LONGEST_SIDE);
const context = canvas.getContext("2d");

scope.onmessage = ({ data }: MessageEvent<Order>) => {
  const work = data.kind === "load" ? load(data.files, data.bytes) : find(data);
  work.catch((error: unknown) =>
    answer({ kind: "failed", reason: error instanceof Error ? error.message : `${error}` }),
  );
};

function answer(said: Answer, transfer: Transferable[] = []): void {
  scope.postMessage(said, transfer);
}

async function load(files: Files, bytes: number): Promise<void> {
  const scripts = Object.keys(files).filter((name) => name.endsWith(".js"));
  const others = Object.keys(files).filter((name) => !name.endsWith(".js"));
  const held = await download(
    others.map((name) => [name, files[name] ?? ""]),
    bytes,
  );
  standIn(files, held);
  scope.importScripts(files["pose.js"] ?? "");
  pose = new scope.Pose({ locateFile: (name) => files[name] ?? unknownFile(name, scripts) });
  pose.onResults((results) => {
    latest = results;
  });
  let inference: Inference = hasGraphicsCard() ? "gpu" : "cpu";
  use(pose, inference);
  await pose.initialize();
  if ((await warmUpMs()) > SLOW_GPU_MS && inference === "gpu") {
    inference = "cpu";
    use(pose, inference);
    await warmUpMs();
  }
  answer({ kind: "ready", inference });
}

function use(solution: Solution, inference: Inference): void {
  // Not smoothed over time: a smoothed skeleton comes after the person in the picture under it.
  solution.setOptions({ modelComplexity: 0, smoothLandmarks: false, useCpuInference: inference === "cpu" });
}

function unknownFile(name: string, known: readonly string[]): string {
  throw new Error(
    name.endsWith("_wasm_bin.js")
      ? "This browser is too old for the preview: it lacks SIMD in WebAssembly. Update it."
      : `MediaPipe asks for ${name}, and only ${known.join(", ")} are there.`,
  );
}

/** How long the model takes for a picture in which nobody is, once all is compiled. */
async function warmUpMs(): Promise<number> {
  let took = 0;
  for (let round = 0; round < 3; round++) {
    const began = performance.now();
    await run(performance.now());
    took = performance.now() - began;
  }
  return took;
}

async function find(order: Extract<Order, { kind: "find" }>): Promise<void> {
  const began = performance.now();
  const { picture, width, height } = order;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) {
    [canvas.width, canvas.height] = [wide, high];
  }
  context?.drawImage(picture, 0, 0, wide, high);
  picture.close();
  const found = await run(order.capturedAtMs);
  const keypoints = found && inPixels(found, width, height);
  answer({ kind: "found", keypoints, processMs: performance.now() - began }, keypoints ? [keypoints.buffer] : []);
}

async function run(atMs: number): Promise<readonly Landmark[] | undefined> {
  latest = undefined;
  // MediaPipe takes no time twice, and none that is before another.
  lastMs = Math.max(atMs, lastMs + 0.1);
  await pose?.send({ image: canvas }, lastMs);
  const results = latest as Results | undefined;
  results?.image.close();
  return results?.poseLandmarks;
}

function inPixels(found: readonly Landmark[], width: number, height: number): Float32Array {
  return Float32Array.from(
    found.flatMap(({ x, y, z, visibility }) => [x * width, y * height, z * width, visibility ?? 0]),
  );
}

async function download(
  files: readonly (readonly [string, string])[],
  total: number,
): Promise<Map<string, ArrayBuffer>> {
  const answers = await Promise.all(
    files.map(async ([name, url]) => {
      const got = await fetch(url);
      if (!got.ok || !got.body) {
        throw new Error(`The preview's file ${name} could not be loaded (${got.status}). Reload the page.`);
      }
      return { name, body: got.body };
    }),
  );
  let loaded = 0;
  const counted = () =>
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        loaded += chunk.byteLength;
        answer({ kind: "progress", loaded, total });
        controller.enqueue(chunk);
      },
    });
  const read = answers.map(
    async ({ name, body }) => [name, await new Response(body.pipeThrough(counted())).arrayBuffer()] as const,
  );
  return new Map(await Promise.all(read));
}

/** What MediaPipe finds where it looks for a document and the network. */
function standIn(files: Files, held: ReadonlyMap<string, ArrayBuffer>): void {
  const byUrl = new Map(Array.from(held, ([name, bytes]) => [files[name], bytes]));
  scope.window = scope;
  scope.document = {
    createElement: (kind: string) => (kind === "canvas" ? new OffscreenCanvas(1, 1) : new ScriptElement()),
    body: { appendChild: (script: ScriptElement) => script.load(held) },
  };
  scope.alert = () => {
    throw new Error("The preview needs WebGL, which this browser does not give. Allow hardware acceleration.");
  };
  scope.fetch = async (url) => new Response(byUrl.get(`${url}`)?.slice(0) ?? null);
}

class ScriptElement extends EventTarget {
  private url = "";

  setAttribute(name: string, value: string): void {
    if (name === "src") {
      this.url = value;
    }
  }

  load(held: ReadonlyMap<string, ArrayBuffer>): void {
    // Emscripten's module takes these instead of asking the network for them.
    Object.assign(scope.createMediapipeSolutionsPackedAssets, {
      wasmBinary: held.get("pose_solution_simd_wasm_bin.wasm"),
      getPreloadedPackage: () => held.get("pose_solution_packed_assets.data"),
      // It tells each start and each delegate there; what fails is thrown, too.
      printErr: () => undefined,
    });
    scope.importScripts(this.url);
    this.dispatchEvent(new Event("load"));
  }
}

/** Whether WebGL runs on a graphics card, as far as the browser says it. */
function hasGraphicsCard(): boolean {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  const told = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl && told ? String(gl.getParameter(told.UNMASKED_RENDERER_WEBGL)) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|software|basic render/i.test(renderer);
}
