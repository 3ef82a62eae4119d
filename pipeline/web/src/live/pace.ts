/** How often something is done: frames for the server in hybrid, and tries to connect. */

export const SHORTEST_MS = 200;
export const LONGEST_MS = 5000;
/** What a server asks for that has room. */
const USUAL_MS = 500;
/** A frame is on its way for at most this share of the time, so that slow networks and servers are asked less. */
const BUSY_SHARE = 0.25;
/** A server leaves out what comes sooner than three tenths of its interval; a bit more, for timers are not exact. */
const SOONEST_SHARE = 0.4;

/**
 * From one frame for the server to the next, in ms.
 *
 * @param askedMs what the server asks for: 500 while it has room, more when it has not.
 * @param tripMs from the capture of a frame until its result is there; undefined before the first.
 */
export function hybridEveryMs(askedMs: number, tripMs: number | undefined): number {
  const least = askedMs > USUAL_MS ? askedMs : Math.max(SHORTEST_MS, SOONEST_SHARE * askedMs);
  const wanted = tripMs === undefined ? askedMs : tripMs / BUSY_SHARE;
  return Math.round(Math.min(LONGEST_MS, Math.max(least, wanted)));
}

/** A frame that comes a bit early waits a bit; one that comes late leaves the device idle. */
const EARLY_MS = 5;
const EARLY_SHARE = 0.1;

/**
 * When the next frame is sent while one is still under way: so that it arrives when the device has done with that one.
 * Sent at once, it would only wait there, and be older when it is shown.
 *
 * @param resultMs when the last result came.
 * @param sentMs when the frame under way was sent.
 * @param processMs of a device call.
 * @param wayMs of a frame until it could be analysed: encode, upload, decode.
 */
export function nextSendMs(resultMs: number, sentMs: number, processMs: number, wayMs: number): number {
  const beganMs = Math.max(resultMs, sentMs + wayMs);
  return beganMs + (1 - EARLY_SHARE) * processMs - wayMs - EARLY_MS;
}

const FIRST_TRY_MS = 500;
const LAST_TRY_MS = 15_000;

/**
 * Before the next try to connect, in ms: longer each time, and never the same for all who lost it at once.
 *
 * @param failed tries since a connection was there.
 * @param random from 0 to 1.
 */
export function backOffMs(failed: number, random: number): number {
  return Math.min(LAST_TRY_MS, FIRST_TRY_MS * 2 ** failed) * (0.5 + random / 2);
}
