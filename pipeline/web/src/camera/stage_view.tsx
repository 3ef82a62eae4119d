/** The camera's picture, with what helps to set it up drawn over it. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { CameraSession } from "./camera_session.ts";

interface Props {
  readonly session: CameraSession;
  readonly grid: boolean;
  /** Where the level's line is, as a share of the height; undefined where the level is off. */
  readonly levelAt: number | undefined;
  /** What stands over the picture, such as the button that turns the camera on. */
  readonly children?: ComponentChildren;
}

export function StageView({ session, grid, levelAt, children }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current) {
      session.attach(canvas.current);
    }
  }, [session]);
  const { width, height } = session.size.value;
  const isOn = session.camera.value.kind === "on";
  return (
    <div class="viewfinder" style={{ aspectRatio: `${width} / ${height}`, "--shape": width / height }}>
      <canvas
        ref={canvas}
        role="img"
        aria-label="The camera's picture, with the skeleton of one person"
        hidden={!isOn}
      />
      {isOn && (
        <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
          {grid && <Thirds width={width} height={height} />}
          {levelAt !== undefined && <LevelLine width={width} height={height} at={levelAt} roll={session.roll.value} />}
        </svg>
      )}
      {children}
    </div>
  );
}

function Thirds({ width, height }: { width: number; height: number }) {
  const lines = [1, 2].flatMap((third) => [
    `M${(third * width) / 3} 0V${height}`,
    `M0 ${(third * height) / 3}H${width}`,
  ]);
  return <Lines class="thirds" path={lines.join("")} />;
}

/** A line that stays level with the world, over a mark that stays level with the picture. */
function LevelLine({
  width,
  height,
  at,
  roll = 0,
}: {
  width: number;
  height: number;
  at: number;
  roll?: number | undefined;
}) {
  const y = at * height;
  const middle = `M${width / 2 - 0.06 * width} ${y}h${0.12 * width}`;
  return (
    <>
      <g transform={`rotate(${-roll} ${width / 2} ${y})`}>
        <Lines class={`level ${Math.abs(roll) < 1 ? "true" : ""}`} path={`M${-width} ${y}H${2 * width}`} />
      </g>
      <Lines class="mark" path={middle} />
    </>
  );
}

/** A dark edge under each line, so that it is seen on any picture. */
function Lines({ class: name, path }: { class: string; path: string }) {
  return (
    <>
      <path class="edge" d={path} />
      <path class={name} d={path} />
    </>
  );
}
