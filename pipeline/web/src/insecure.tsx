/** Says what plain HTTP takes away, where this page came over it. */
export function InsecureNotice() {
  return window.isSecureContext ? null : (
    <p role="alert">
      This page came over plain HTTP. Browsers then allow no camera, no exact playback and no check of uploads; open it
      over HTTPS.
    </p>
  );
}
