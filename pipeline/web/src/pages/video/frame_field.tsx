/** The number of a frame, to be read and to be written. */

import { useState } from "preact/hooks";

interface FrameFieldProps {
  readonly label: string;
  readonly frame: number | undefined;
  readonly frames: number;
  readonly onFrame: (frame: number) => void;
}

/** What is being typed stays, however often the frame changes meanwhile. */
export function FrameField({ label, frame, frames, onFrame }: FrameFieldProps) {
  const [typed, setTyped] = useState<string>();
  const go = (text: string) => {
    setTyped(undefined);
    if (text !== "" && Number.isFinite(Number(text))) {
      onFrame(Number(text));
    }
  };
  return (
    <label>
      {label}{" "}
      <input
        type="number"
        inputMode="numeric"
        min={0}
        max={frames - 1}
        value={typed ?? frame ?? ""}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onChange={(event) => go(event.currentTarget.value)}
        onBlur={() => setTyped(undefined)}
      />
    </label>
  );
}
