/** Says what plain HTTP takes away, where this page came over it. */
export function InsecureNotice() {
  return window.isSecureContext ? null : (
    <p role="alert">
      This page came over plain HTTP. Browsers then allow no camera, check uploads slowly, and some play no video
      exactly; open it over HTTPS.
    </p>
  );
}
