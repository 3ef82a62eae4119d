/** Why there is no camera, in one line, with what to do about it. */

/**
 * @param error that `getUserMedia` threw.
 * @param secure whether this page came over HTTPS, or from this machine.
 */
export function cameraTrouble(error: unknown, secure: boolean): string {
  if (!secure) {
    return "This page came over plain HTTP, where browsers give no camera. Open it by its https:// address, or on the machine itself by http://localhost.";
  }
  const name = error instanceof Error ? error.name : "";
  const message = error instanceof Error ? error.message : String(error);
  switch (name) {
    case "NotAllowedError":
      return /system/i.test(message)
        ? "This device's own settings keep the camera from the browser. Allow it there, under privacy and camera, then turn it on again."
        : "The camera was refused. Allow it for this page, by the sign beside its address, then turn it on again.";
    case "NotFoundError":
      return "No camera was found. Plug one in, or open this page on a phone.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is in use by another program or page. Close it there, then turn it on again.";
    case "OverconstrainedError":
      return "The camera that was chosen is not there any more. Choose another one.";
    case "NotSupportedError":
      return "This browser gives pages no camera. Open this page in a current Chrome, Edge, Firefox or Safari.";
    default:
      return `The camera could not be opened: ${message}`;
  }
}

/** The camera was there, and is not any more. */
export const CAMERA_ENDED = "The camera went away: it was unplugged, or another program took it. Turn it on again.";
