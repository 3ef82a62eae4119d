/** The whole video in a strip: people in view, missing frames, what is still to come. Every frame is equally wide. */

import { useEffect, useRef } from "preact/hooks";
import type { Cut } from "../../player/cut.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";
import { isOpen, type RunOfVideo, useAnswer } from "./video_runs.ts";

/** Frames from the first up to, but not with, the second. */
type Span = readonly [number, number];

interface RunTimeline {
  readonly frames: number;
  readonly frames_each: number;
  readonly stretches: readonly { number: number; frames: number; most_people: number; missing: number }[];
  readonly missing: readonly { first: number; stop: number; reason: string }[];
  readonly to_come: readonly Span[];
  readonly not_analysed: readonly Span[];
  readonly final: boolean;
}

interface TimelineProps {
  readonly runUrl: string;
  readonly run: RunOfVideo;
  readonly player: Player;
  readonly state: PlayerState;
}

export function Timeline({ runUrl, run, player, state }: TimelineProps) {
  const { frame, cut } = state;
  const { found } = useAnswer<RunTimeline>(`${runUrl}/timeline`, ({ final }) => !final, run.state);
  const strip = useRef<HTMLCanvasElement>(null);
  const { frames } = player.table;
  useEffect(() => {
    const canvas = strip.current;
    if (!canvas || !found) {
      return;
    }
    const paint = () => draw(canvas, found, frames);
    const watcher = new ResizeObserver(paint);
    watcher.observe(canvas);
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", paint);
    return () => {
      watcher.disconnect();
      scheme.removeEventListener("change", paint);
    };
  }, [found, frames]);
  const at = (100 * ((frame ?? 0) + 0.5)) / frames;
  return (
    <div class="timeline">
      <canvas ref={strip} />
      <svg class="playhead" aria-hidden="true">
        <CutRange cut={cut} frames={frames} />
        <line x1={`${at}%`} x2={`${at}%`} y1="0" y2="100%" />
      </svg>
      <input
        type="range"
        aria-label="Frame"
        min={0}
        max={frames - 1}
        step={1}
        value={frame ?? 0}
        onInput={(event) => void player.seek(event.currentTarget.valueAsNumber)}
      />
      {found && <p class="timeline-says">{inWords(found, run)}</p>}
    </div>
  );
}

function CutRange({ cut, frames }: { readonly cut: Cut; readonly frames: number }) {
  const [first, last] = [cut.first ?? cut.last, cut.last ?? cut.first];
  if (first === undefined || last === undefined) {
    return null;
  }
  const share = (count: number) => `${(100 * count) / frames}%`;
  return <rect class="clip-range" x={share(first)} width={share(last - first + 1)} y="0" height="100%" />;
}

function inWords({ frames, missing, to_come, not_analysed, stretches }: RunTimeline, run: RunOfVideo): string {
  const coming = framesOf(to_come);
  const never = framesOf(not_analysed);
  const lost = stretches.reduce((sum, stretch) => sum + stretch.missing, 0);
  const most = stretches.reduce((highest, stretch) => Math.max(highest, stretch.most_people), 0);
  const goesOn = coming > 0 && isOpen(run);
  const said: string[] = [];
  if (most > 0) {
    said.push(`${most === 1 ? "1 person" : `${most} people`} at most`);
  } else if (never < frames) {
    said.push(goesOn ? "Nobody found so far" : never > 0 ? "Nobody was found" : "Nobody was found in this video");
  }
  if (goesOn) {
    const percent = (count: number) => Math.floor((100 * count) / frames);
    const [done, here] = [percent(run.frames_done), percent(frames - coming)];
    said.push(`Being analysed, ${Math.max(done, here)} %${done > here ? `; poses of ${here} % are here` : ""}`);
  }
  if (never > 0) {
    const ended = run.state === "cancelled" ? "was cancelled" : "failed";
    said.push(`${frames - never} of ${frames} frames analysed: this analysis ${ended}`);
  }
  if (run.live) {
    said.push(`Live: ${run.live}`);
  } else if (lost > 0) {
    said.push(`${lost} ${lost === 1 ? "frame" : "frames"} missing${missing[0] ? `: ${missing[0].reason}` : ""}`);
  }
  return said.join(" · ");
}

function framesOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [first, stop]) => sum + stop - first, 0);
}

function draw(canvas: HTMLCanvasElement, timeline: RunTimeline, frames: number): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = Math.round(canvas.clientHeight * ratio);
  const context = canvas.getContext("2d");
  if (!context) {
    return;
  }
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const x = (frame: number) => (frame / frames) * canvas.width;
  const most = timeline.stretches.reduce((highest, { most_people }) => Math.max(highest, most_people), 1);
  for (const { number, most_people, missing } of timeline.stretches) {
    const first = number * timeline.frames_each;
    const width = Math.max(1, x(first + timeline.frames_each) - x(first));
    const height = (canvas.height * 0.85 * most_people) / most;
    context.fillStyle = colour("--strip-people");
    context.fillRect(x(first), canvas.height - height, width, height);
    if (missing > 0) {
      context.fillStyle = colour("--strip-missing");
      context.fillRect(x(first), 0, Math.max(2, width), canvas.height);
    }
  }
  context.lineWidth = ratio;
  for (const [name, spans] of [
    ["--strip-to-come", timeline.to_come],
    ["--strip-missing", timeline.not_analysed],
  ] as const) {
    context.strokeStyle = colour(name);
    for (const [first, stop] of spans) {
      hatch(context, x(first), x(stop), 6 * ratio);
    }
  }
}

function hatch(context: CanvasRenderingContext2D, left: number, right: number, step: number): void {
  const { height } = context.canvas;
  context.save();
  context.beginPath();
  context.rect(left, 0, right - left, height);
  context.clip();
  context.beginPath();
  for (let at = left - height; at < right; at += step) {
    context.moveTo(at, height);
    context.lineTo(at + height, 0);
  }
  context.stroke();
  context.restore();
}
