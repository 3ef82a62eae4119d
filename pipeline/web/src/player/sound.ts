/** Sound by Web Audio, in step with the pictures: its own clock tells what is heard now. */

import type { AudioBufferSink } from "mediabunny";
import type { Sound, SoundPlaying } from "./picture.ts";

/** Scheduled ahead, in seconds that are heard. */
const AHEAD_S = 1;
const LEAD_S = 0.05;

export class BufferedSound implements Sound {
  private readonly sink: AudioBufferSink;
  private context: AudioContext | undefined;
  private gain: GainNode | undefined;
  private volume = 1;

  constructor(sink: AudioBufferSink) {
    this.sink = sink;
  }

  async start(from: number, speed: number): Promise<SoundPlaying | undefined> {
    this.context ??= new AudioContext();
    if (!this.gain) {
      this.gain = this.context.createGain();
      this.gain.gain.value = this.volume;
      this.gain.connect(this.context.destination);
    }
    // Never settles in a browser that wants a click first.
    await Promise.race([this.context.resume(), new Promise((resolve) => setTimeout(resolve, 300))]);
    if (this.context.state !== "running") {
      return undefined;
    }
    return new Playing(this.sink, this.context, this.gain, from, speed);
  }

  setVolume(volume: number): void {
    this.volume = volume;
    if (this.gain) {
      this.gain.gain.value = volume;
    }
  }

  dispose(): void {
    void this.context?.close();
  }
}

class Playing implements SoundPlaying {
  private readonly context: AudioContext;
  private readonly gain: GainNode;
  private readonly from: number;
  private readonly speed: number;
  private readonly started: number;
  private readonly nodes = new Set<AudioBufferSourceNode>();
  private stopped = false;

  constructor(sink: AudioBufferSink, context: AudioContext, gain: GainNode, from: number, speed: number) {
    this.context = context;
    this.gain = gain;
    this.from = from;
    this.speed = speed;
    this.started = context.currentTime + LEAD_S;
    this.feed(sink).catch(() => undefined); // the pictures go on in silence
  }

  now(): number {
    const heard = this.context.currentTime - this.started - (this.context.outputLatency || 0);
    return this.from + Math.max(0, heard) * this.speed;
  }

  stop(): void {
    this.stopped = true;
    for (const node of this.nodes) {
      node.stop();
    }
  }

  private async feed(sink: AudioBufferSink): Promise<void> {
    for await (const { buffer, timestamp } of sink.buffers(this.from)) {
      const when = this.started + (timestamp - this.from) / this.speed;
      while (!this.stopped && when > this.context.currentTime + AHEAD_S) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      if (this.stopped) {
        return;
      }
      const late = Math.max(0, this.context.currentTime - when);
      const skipped = late * this.speed;
      if (skipped < buffer.duration) {
        this.schedule(buffer, when + late, skipped);
      }
    }
  }

  private schedule(buffer: AudioBuffer, when: number, offset: number): void {
    const node = this.context.createBufferSource();
    node.buffer = buffer;
    node.playbackRate.value = this.speed;
    node.connect(this.gain);
    node.onended = () => this.nodes.delete(node);
    this.nodes.add(node);
    node.start(when, offset);
  }
}
