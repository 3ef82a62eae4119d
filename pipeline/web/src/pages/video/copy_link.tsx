/** Copies the address of the frame that is shown. */

import { useEffect, useState } from "preact/hooks";
import { copyText } from "../../copy_text.ts";
import type { Player } from "../../player/player.ts";
import { addressOf } from "./address.ts";

const TOLD_MS = 4000;

interface Done {
  readonly address: string;
  readonly copied: boolean;
}

export function CopyLink({ player, frame }: { readonly player: Player; readonly frame: number | undefined }) {
  const [done, setDone] = useState<Done>();
  useEffect(() => {
    if (done?.copied) {
      const timer = setTimeout(() => setDone(undefined), TOLD_MS);
      return () => clearTimeout(timer);
    }
    return undefined;
  }, [done]);
  const copy = async () => {
    player.pause();
    const shown = player.state.frame;
    if (shown !== undefined) {
      const address = addressOf(shown);
      setDone({ address, copied: await copyText(address) });
    }
  };
  return (
    <>
      <button type="button" onClick={() => void copy()} disabled={frame === undefined}>
        {done?.copied ? "Link copied" : "Copy link to frame"}
      </button>
      <span role="status" class="hidden">
        {done?.copied ? "The link to this frame is copied." : ""}
      </span>
      {done && !done.copied && (
        <label class="copy-by-hand">
          This browser does not let pages copy. Copy the link from here:{" "}
          <input readOnly value={done.address} ref={mark} onFocus={(event) => event.currentTarget.select()} />
        </label>
      )}
    </>
  );
}

function mark(field: HTMLInputElement | null): void {
  field?.focus();
  field?.select();
}
