/** The uploads of this tab: they go on while its person looks at other pages. */

import { signal } from "@preact/signals";
import { UploadQueue } from "./queue.ts";

/** Counts changes, so that what shows uploads is drawn again. */
export const uploadsChanged = signal(0);

/** Often enough for numbers that move. */
const DRAW_MS = 200;

const queues = new Map<string, UploadQueue>();
let willDraw = false;
let awake: Promise<WakeLockSentinel | undefined> | undefined;

export function queueOf(team: string): UploadQueue {
  let queue = queues.get(team);
  if (!queue) {
    queue = new UploadQueue(team);
    queue.onChange = changed;
    queues.set(team, queue);
  }
  return queue;
}

function isUnderWay(): boolean {
  return Array.from(queues.values()).some((queue) => queue.isUnderWay);
}

function changed(): void {
  if (willDraw) {
    return;
  }
  willDraw = true;
  setTimeout(() => {
    willDraw = false;
    uploadsChanged.value++;
    keepAwake();
  }, DRAW_MS);
}

/** A phone that goes to sleep sends nothing. */
function keepAwake(): void {
  if (isUnderWay() && !awake && document.visibilityState === "visible") {
    awake = navigator.wakeLock?.request("screen").catch(() => undefined);
    void awake?.then((lock) =>
      lock?.addEventListener("release", () => {
        awake = undefined;
      }),
    );
  } else if (!isUnderWay() && awake) {
    void awake.then((lock) => lock?.release());
    awake = undefined;
  }
}

document.addEventListener("visibilitychange", keepAwake);
window.addEventListener("beforeunload", (event) => {
  if (isUnderWay()) {
    event.preventDefault();
  }
});
