/** What browsers have and TypeScript's own library lacks. */

interface VideoFrame {
  /** https://www.w3.org/TR/webcodecs-video-frame-metadata-registry/ */
  metadata?(): { captureTime?: number };
  /** Clockwise, in degrees: how the picture is to be turned to be upright. */
  readonly rotation?: number;
}
