/** Which address shows which page. A page's code is loaded when it is first opened. */

import type { ComponentType } from "preact";
import { match, type Params } from "./router.ts";
import type { Team } from "./session.ts";

/** What every page is given: the parts of its address, and its team where the address names one. */
export interface PageProps {
  readonly params: Params;
  readonly team: Team | undefined;
}

/** For whom a page is: anybody, who is signed in, or who may see anything of the team in its address. */
type For = "anybody" | "account" | "team";

export interface Page {
  readonly path: string;
  readonly for: For;
  readonly load: () => Promise<{ readonly default: ComponentType<PageProps> }>;
}

const PAGES: readonly Page[] = [
  { path: "/", for: "anybody", load: () => import("./pages/home.tsx") },
  { path: "/link/:token", for: "anybody", load: () => import("./pages/link.tsx") },
  { path: "/signed-in", for: "anybody", load: () => import("./pages/signed_in.tsx") },
  { path: "/s/:token", for: "anybody", load: () => import("./pages/share.tsx") },
  { path: "/account", for: "account", load: () => import("./pages/account.tsx") },
  { path: "/t/:team/members", for: "team", load: () => import("./pages/members.tsx") },
  { path: "/t/:team/videos", for: "team", load: () => import("./pages/videos.tsx") },
  { path: "/t/:team/videos/:video", for: "team", load: () => import("./pages/video.tsx") },
  { path: "/t/:team/live", for: "team", load: () => import("./pages/live.tsx") },
  { path: "/camera", for: "anybody", load: () => import("./pages/camera.tsx") },
  { path: "/browser", for: "anybody", load: () => import("./pages/browser.tsx") },
  { path: "/t/:team/upload", for: "team", load: () => import("./pages/upload.tsx") },
];

/** The page at a path, and the parts of the path. */
export function pageAt(path: string): { page: Page; params: Params } | undefined {
  for (const page of PAGES) {
    const params = match(page.path, path);
    if (params) {
      return { page, params };
    }
  }
  return undefined;
}
