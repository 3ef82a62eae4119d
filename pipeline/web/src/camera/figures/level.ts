/** How a device is tilted. */

/** So nearly flat, as the share of gravity in the screen's plane, there is no telling where up is in the picture. */
const FLAT = 0.35;

/**
 * By how many degrees a camera is turned about its own axis: positive where it is turned clockwise as its user sees it,
 * so that the horizon rises to the right. Undefined where the device lies nearly flat.
 *
 * @param beta of `deviceorientation`, in degrees.
 * @param gamma of it.
 * @param screenAngle of `screen.orientation`: how far the page is turned against the device, in degrees.
 */
export function rollOf(beta: number, gamma: number, screenAngle: number): number | undefined {
  const [b, g] = [beta, gamma].map((degrees) => (degrees * Math.PI) / 180) as [number, number];
  // Where up is, in the device's own axes: x to the right of its screen, y to its upper edge.
  const [x, y] = [-Math.cos(b) * Math.sin(g), Math.sin(b)];
  if (Math.hypot(x, y) < FLAT) {
    return undefined;
  }
  const turned = -(Math.atan2(x, y) * 180) / Math.PI + screenAngle;
  return ((turned + 540) % 360) - 180;
}
