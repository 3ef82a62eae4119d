/** The signs on the buttons. */

const PATHS = {
  backward: "M11 5v14L2 12z M22 5v14l-9-7z",
  back: "M5 5h3v14H5z M20 5v14L9 12z",
  play: "M6 4v16l14-8z",
  pause: "M6 4h4v16H6z M14 4h4v16h-4z",
  on: "M4 5v14l11-7z M16 5h3v14h-3z",
  forward: "M2 5v14l9-7z M13 5v14l9-7z",
} as const;

export function Icon({ of }: { readonly of: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[of]} fill="currentColor" />
    </svg>
  );
}
