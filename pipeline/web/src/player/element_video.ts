/**
 * The way for browsers without WebCodecs here: a `<video>`. Where `VideoFrame` gives its picture with the right time,
 * poses still belong to the picture under them; else they may be a frame off, and the page says so.
 */

import type { FrameTable } from "./frame_table.ts";
import type { Certainty, Footage, Picture, Reel } from "./picture.ts";

const PATIENCE_MS = 10_000;
/** A picture that was sought may be shown so much later than the browser says that it is there. */
const LATE_MS = 2000;

export class ElementVideo implements Footage {
  readonly sound = undefined;
  certainty: Certainty = "guessed";
  readonly element: HTMLVideoElement;
  private readonly table: FrameTable;

  private constructor(element: HTMLVideoElement, table: FrameTable) {
    this.element = element;
    this.table = table;
  }

  static async open(url: string, table: FrameTable): Promise<ElementVideo> {
    const element = document.createElement("video");
    element.playsInline = true;
    element.preload = "auto";
    element.src = url;
    await happens(element, "loadeddata", () => element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
    const opened = new ElementVideo(element, table);
    await opened.tryPresented();
    return opened;
  }

  /** Whether the browser tells the true times of its pictures; one that does not tells 0, or another frame's. */
  private async tryPresented(): Promise<void> {
    const frame = Math.min(7, this.table.frames - 1);
    if (!("VideoFrame" in window) || this.table.frames < 2) {
      return;
    }
    await this.seek(frame);
    const picture = presented(this.element, this.table);
    if (picture?.frame === frame) {
      this.certainty = "presented";
    }
    picture?.close();
  }

  async picture(frame: number, superseded: () => boolean): Promise<Picture | undefined> {
    await this.seek(frame);
    if (this.certainty !== "presented") {
      return superseded() ? undefined : new GuessedPicture(this.element, this.table.timeOf(frame), frame);
    }
    const patience = performance.now() + LATE_MS;
    while (!superseded()) {
      const picture = presented(this.element, this.table);
      if (!picture || picture.frame === frame || performance.now() > patience) {
        return picture;
      }
      picture.close(); // what was shown before the seek is shown still
      await this.nextPicture();
    }
    return undefined;
  }

  play(_frame: number, speed: number): Reel {
    return new ElementReel(this, this.table, speed);
  }

  dispose(): void {
    this.element.removeAttribute("src");
    this.element.load();
  }

  private async seek(frame: number): Promise<void> {
    const { element } = this;
    element.pause();
    element.currentTime = this.table.middleOf(frame);
    await happens(element, "seeked", () => false);
    // Decoded, but perhaps not yet shown.
    await this.nextPicture();
  }

  private async nextPicture(): Promise<void> {
    await Promise.race([
      new Promise((resolve) => this.element.requestVideoFrameCallback?.(resolve)),
      new Promise((resolve) => setTimeout(resolve, 100)),
    ]);
  }
}

class ElementReel implements Reel {
  readonly ownClock = true;
  readonly nextTime = undefined;
  error: unknown;
  private readonly footage: ElementVideo;
  private readonly table: FrameTable;
  private waiting: Picture | undefined;
  private stopped = false;

  constructor(footage: ElementVideo, table: FrameTable, speed: number) {
    this.footage = footage;
    this.table = table;
    footage.element.playbackRate = speed;
    footage.element.play().catch((error: unknown) => {
      this.error = this.stopped ? undefined : error;
    });
    this.listen();
  }

  get ended(): boolean {
    return this.footage.element.ended && !this.waiting;
  }

  due(): Picture | undefined {
    const picture = this.waiting;
    this.waiting = undefined;
    return picture;
  }

  stop(): void {
    this.stopped = true;
    this.waiting?.close();
    this.waiting = undefined;
    this.footage.element.pause();
  }

  private listen(): void {
    const { element, certainty } = this.footage;
    element.requestVideoFrameCallback?.((_now, { mediaTime }) => {
      if (this.stopped) {
        return;
      }
      this.waiting?.close();
      this.waiting =
        certainty === "presented"
          ? presented(element, this.table)
          : new GuessedPicture(element, mediaTime, this.table.shownAt(mediaTime));
      this.listen();
    });
  }
}

/** The element's picture with its time, both in one object. */
function presented(element: HTMLVideoElement, table: FrameTable): Picture | undefined {
  let frame: VideoFrame;
  try {
    frame = new VideoFrame(element);
  } catch {
    return undefined;
  }
  const time = frame.timestamp / 1e6;
  return {
    time,
    frame: table.find(time),
    draw: (context, width, height) => context.drawImage(frame, 0, 0, width, height),
    close: () => frame.close(),
  };
}

class GuessedPicture implements Picture {
  readonly time: number;
  readonly frame: number;
  private readonly element: HTMLVideoElement;

  constructor(element: HTMLVideoElement, time: number, frame: number) {
    this.element = element;
    this.time = time;
    this.frame = frame;
  }

  draw(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.drawImage(this.element, 0, 0, width, height);
  }

  close(): void {
    // The element keeps what it shows.
  }
}

async function happens(element: HTMLVideoElement, event: string, already: () => boolean): Promise<void> {
  if (already()) {
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const stop = new AbortController();
    const { signal } = stop;
    const settle = (act: () => void) => () => {
      stop.abort();
      clearTimeout(timer);
      act();
    };
    const fail = settle(() => reject(new Error(element.error?.message || "this browser does not play this video")));
    const timer = setTimeout(fail, PATIENCE_MS);
    element.addEventListener(event, settle(resolve), { signal });
    element.addEventListener("error", fail, { signal });
  });
}
