/** The device's battery, the room that it has, and its screen's light. */

export interface Battery {
  /** 0 to 1. */
  readonly share: number;
  readonly charging: boolean;
}

/** Follow the battery, where the browser tells of it; the returned function ends that. */
export function followBattery(onChange: (battery: Battery) => void): () => void {
  const ended = new AbortController();
  const follow = async () => {
    const told = await navigator.getBattery?.();
    if (!told || ended.signal.aborted) {
      return;
    }
    const tell = () => onChange({ share: told.level, charging: told.charging });
    for (const event of ["levelchange", "chargingchange"]) {
      told.addEventListener(event, tell, { signal: ended.signal });
    }
    tell();
  };
  follow().catch(() => undefined); // a browser may have it and refuse it
  return () => ended.abort();
}

/** Bytes that this site may still store; undefined where the browser does not tell it. */
export async function freeBytes(): Promise<number | undefined> {
  const told = await navigator.storage?.estimate?.().catch(() => undefined);
  return told?.quota === undefined ? undefined : Math.max(0, told.quota - (told.usage ?? 0));
}

/** Keep the screen on until the returned function is called: a phone that goes to sleep films nothing. */
export function keepScreenOn(): () => void {
  let lock: WakeLockSentinel | undefined;
  let ended = false;
  const ask = async () => {
    if (!ended && document.visibilityState === "visible") {
      lock = await navigator.wakeLock?.request("screen").catch(() => undefined);
    }
    if (ended) {
      await lock?.release();
    }
  };
  // The browser takes it away while another page is in front.
  document.addEventListener("visibilitychange", ask);
  void ask();
  return () => {
    ended = true;
    document.removeEventListener("visibilitychange", ask);
    void lock?.release();
  };
}
