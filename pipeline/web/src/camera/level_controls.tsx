/** The grid and the level. Where the device has a sensor the level follows it; else its line is laid on the horizon. */

import { useEffect, useRef } from "preact/hooks";
import type { CameraSession } from "./camera_session.ts";
import { followTilt } from "./tilt.ts";

export interface Aids {
  readonly grid: boolean;
  readonly level: "off" | "sensor" | "hand";
  /** Where the level's line is, as a share of the height. */
  readonly at: number;
  /** Degrees by which the line was turned by hand. */
  readonly turned: number;
}

export const NO_AIDS: Aids = { grid: true, level: "off", at: 0.5, turned: 0 };

interface Props {
  readonly session: CameraSession;
  readonly aids: Aids;
  readonly onChange: (change: Partial<Aids>) => void;
}

export function LevelControls({ session, aids, onChange }: Props) {
  const end = useRef<() => void>(() => undefined);
  useEffect(() => () => end.current(), []);
  const toggle = () => {
    end.current();
    if (aids.level !== "off") {
      session.roll.value = undefined;
      onChange({ level: "off" });
      return;
    }
    session.roll.value = undefined;
    onChange({ level: "hand", at: 0.5, turned: 0 });
    let told = false;
    end.current = followTilt((roll) => {
      session.roll.value = roll;
      if (!told) {
        told = true;
        onChange({ level: "sensor" });
      }
    });
  };
  const turn = (turned: number) => {
    session.roll.value = turned;
    onChange({ turned });
  };
  const lift = (at: number) => {
    session.roll.value = aids.turned; // whoever moves the line means where it is
    onChange({ at });
  };
  return (
    <div class="aids">
      <div class="buttons">
        <button type="button" aria-pressed={aids.grid} onClick={() => onChange({ grid: !aids.grid })}>
          Grid
        </button>
        <button type="button" aria-pressed={aids.level !== "off"} onClick={toggle}>
          Level
        </button>
      </div>
      {aids.level === "sensor" && <p class="soft">The level follows this device's own sensor.</p>}
      {aids.level === "hand" && (
        <>
          <p class="soft">
            This device has no sensor for it: lay the line on something that is level, such as the horizon or a
            crossbar.
          </p>
          <label class="slider">
            <span>Height</span>
            <input
              type="range"
              min={0}
              max={1}
              step={0.005}
              value={1 - aids.at}
              onInput={({ currentTarget: { value } }) => lift(1 - Number(value))}
            />
          </label>
          <label class="slider">
            <span>Turn</span>
            <input
              type="range"
              min={-15}
              max={15}
              step={0.1}
              value={aids.turned}
              onInput={({ currentTarget: { value } }) => turn(Number(value))}
            />
          </label>
        </>
      )}
    </div>
  );
}
