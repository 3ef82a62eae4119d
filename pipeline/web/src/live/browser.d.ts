/** What browsers have and TypeScript's library lacks. */

interface VideoFrame {
  /** How the picture has to be turned and mirrored to be seen: https://www.w3.org/TR/webcodecs/#videoframe-interface */
  readonly rotation?: number;
  readonly flip?: boolean;
}
