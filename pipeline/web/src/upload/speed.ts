/** How fast bytes leave, and how long the rest takes. */

const WINDOW_MS = 20_000;
/** Before, a number would only be noise. */
const LEAST_MS = 2_000;

export class Speed {
  private readonly moments: { readonly at: number; readonly bytes: number }[] = [];
  private readonly now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  /** So many bytes have left now; negative where some of them have to leave again. */
  add(bytes: number): void {
    this.moments.push({ at: this.now(), bytes });
    this.forget();
  }

  /** Bytes a second over the last 20 s; undefined while that is not known. */
  get bytesPerS(): number | undefined {
    this.forget();
    const first = this.moments[0];
    const took = first ? this.now() - first.at : 0;
    const bytes = this.moments.slice(1).reduce((sum, moment) => sum + moment.bytes, 0);
    return took >= LEAST_MS && bytes > 0 ? (1000 * bytes) / took : undefined;
  }

  private forget(): void {
    const since = this.now() - WINDOW_MS;
    while ((this.moments[0]?.at ?? since) < since) {
      this.moments.shift();
    }
  }
}

/** `12 s`, `3 min`, `2 h 10 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 60) {
    return `${Math.max(1, Math.round(seconds))} s`;
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60)} h${rest ? ` ${rest} min` : ""}`;
}

/** `1.2 GB`, in powers of ten, as file managers and providers count. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ] as const) {
    if (bytes >= size) {
      return `${(bytes / size).toFixed(bytes < 10 * size ? 1 : 0)} ${unit}`;
    }
  }
  return `${Math.round(bytes)} bytes`;
}
