import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { Problem } from "../src/api.ts";
import type { FrameTable } from "../src/player/frame_table.ts";
import type { Footage, Picture, Reel } from "../src/player/picture.ts";
import { Player } from "../src/player/player.ts";
import type { PoseStore } from "../src/player/pose_store.ts";

const RATE = 30;
const nothing = () => undefined;
const browser = new EventTarget();
Object.assign(globalThis, { window: browser, requestAnimationFrame: (tick: () => void) => setTimeout(tick, 1) });

/** A server that can go away while a video is watched. */
class Faraway implements Footage {
  readonly certainty = "decoded";
  readonly sound = undefined;
  away = false;
  /** Whoever waits for a picture waits on, until it is called. */
  answer: (() => void) | undefined;
  held = false;

  async picture(frame: number, superseded: () => boolean): Promise<Picture | undefined> {
    if (this.held) {
      await new Promise<void>((resolve) => {
        this.answer = resolve;
      });
    }
    if (this.away) {
      throw new Problem(0, "urn:poseline:unreachable", "The server does not answer. Is this device online?");
    }
    return superseded() ? undefined : pictureOf(frame);
  }

  play(frame: number): Reel {
    const gone = () => this.away;
    let next = frame;
    return {
      ownClock: true,
      ended: false,
      nextTime: undefined,
      get error() {
        return gone() ? new Problem(503, "urn:poseline:service-unavailable", "the store does not answer") : undefined;
      },
      due: () => (gone() ? undefined : pictureOf(next++)),
      stop: nothing,
    };
  }

  dispose(): void {
    this.away = true;
  }
}

function pictureOf(frame: number): Picture {
  return { frame, time: frame / RATE, draw: nothing, close: nothing };
}

let footage: Faraway;
let player: Player;

beforeEach(() => {
  player?.dispose();
  footage = new Faraway();
  const table = {
    frames: 1000,
    header: { width: 4, height: 4, skeleton: [] },
    timeOf: (frame: number) => frame / RATE,
    ownTimeOf: (frame: number) => frame / RATE,
  };
  const canvas = { width: 0, height: 0, clientWidth: 4, getContext: () => ({ canvas }) };
  const store = { peek: nothing, error: undefined, dispose: nothing };
  player = new Player(
    canvas as unknown as HTMLCanvasElement,
    table as unknown as FrameTable,
    footage,
    store as unknown as PoseStore,
    nothing,
  );
});

after(() => player.dispose());

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const online = () => browser.dispatchEvent(new Event("online"));

test("a frame that the server could not give is asked for again, and is shown then", async () => {
  await player.seek(3);
  footage.away = true;
  await player.seek(40);
  assert.equal(
    player.state.error,
    "The server does not answer. Is this device online? It is asked again every few seconds.",
  );
  assert.equal(player.state.frame, 3);
  footage.away = false;
  online();
  await until(() => player.state.frame === 40);
  assert.equal(player.state.error, undefined);
});

test("playing goes on where it was once the server is there again", async () => {
  await player.seek(10);
  player.play(1);
  await until(() => (player.state.frame ?? 0) > 20);
  footage.away = true;
  await until(() => player.state.playing === 0);
  assert.equal(player.state.error, "the store does not answer. It is asked again every few seconds.");
  const { frame = 0 } = player.state;
  footage.away = false;
  online();
  assert.equal(player.state.playing, 1);
  await until(() => (player.state.frame ?? 0) > frame + 5);
  assert.ok((player.state.frame ?? 0) < frame + 50);
  assert.equal(player.state.error, undefined);
});

test("who stops meanwhile is not overruled", async () => {
  player.play(1);
  footage.away = true;
  await until(() => player.state.playing === 0);
  footage.away = false;
  player.pause();
  online();
  assert.equal(player.state.playing, 0);
});

test("a frame that comes once the video plays is not shown, nor an error", async () => {
  await player.seek(10);
  footage.held = true;
  void player.step(1);
  await until(() => footage.answer !== undefined);
  player.play(1);
  footage.answer?.();
  await until(() => (player.state.frame ?? 0) > 15);
  assert.deepEqual([player.state.playing, player.state.error], [1, undefined]);
});
