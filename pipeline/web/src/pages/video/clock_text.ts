/** Times for people. */

/** Seconds as the container has them, to the millisecond: 1:02:03.456. */
export function inClock(seconds: number): string {
  const ms = Math.round(Math.abs(seconds) * 1000);
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60];
  const rest = ((ms % 60_000) / 1000).toFixed(3).padStart(6, "0");
  const sign = seconds < 0 && ms > 0 ? "-" : "";
  return hours > 0 ? `${sign}${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${sign}${minutes}:${rest}`;
}
