/** What this browser can do for the pages: asked of the browser itself, never guessed from its name. */

/** The codecs of videos, each as one common profile: what a phone or a camera writes. */
export const CODECS = {
  "H.264": "avc1.640028",
  VP9: "vp09.00.41.08",
  AV1: "av01.0.08M.08",
  HEVC: "hvc1.1.6.L120.B0",
} as const;

export type Codec = keyof typeof CODECS;

export interface Abilities {
  /** HTTPS, or this machine itself. Without it browsers take cameras, WebCodecs and hashing away. */
  readonly secure: boolean;
  /** The codecs that WebCodecs decodes here, frame by frame with the container's own times. */
  readonly decodes: readonly Codec[];
}

/** The part of `window` that is asked. */
export interface Browser {
  readonly isSecureContext: boolean;
  readonly VideoDecoder?: Pick<typeof VideoDecoder, "isConfigSupported">;
}

export async function askAbilities(browser: Browser): Promise<Abilities> {
  const names = Object.keys(CODECS) as Codec[];
  const supported = await Promise.all(names.map((name) => decodes(browser, CODECS[name])));
  return { secure: browser.isSecureContext, decodes: names.filter((_, index) => supported[index]) };
}

async function decodes(browser: Browser, codec: string): Promise<boolean> {
  // A browser may throw at a codec that it does not know.
  const answer = await browser.VideoDecoder?.isConfigSupported({ codec }).catch(() => undefined);
  return answer?.supported === true;
}
