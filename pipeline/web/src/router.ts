/** The address in the browser's bar, and links between pages without loading the document again. */

import { signal } from "@preact/signals";

/** Where the browser is: path and query. The fragment is the page's own. */
export const address = signal<URL>(new URL("http://nowhere.invalid/"));

export type Params = Readonly<Record<string, string>>;

/** Begin to follow the browser's address, and clicks on links to our own pages. */
export function followAddress(): void {
  const read = () => {
    address.value = new URL(window.location.href);
  };
  read();
  window.addEventListener("popstate", () => {
    if (mayLeave()) {
      read();
    } else {
      window.history.pushState(null, "", address.value);
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link && isOurs(event, link)) {
      event.preventDefault();
      if (mayLeave()) {
        navigate(link.href);
      }
    }
  });
}

let question: string | undefined;

function mayLeave(): boolean {
  return question === undefined || window.confirm(question);
}

/** Ask before this page is left or closed, until the returned function is called. */
export function askBeforeLeaving(asked: string): () => void {
  const hold = (event: Event) => event.preventDefault();
  question = asked;
  window.addEventListener("beforeunload", hold);
  return () => {
    question = undefined;
    window.removeEventListener("beforeunload", hold);
  };
}

/** Go to another page. */
export function navigate(to: string, options: { replace?: boolean } = {}): void {
  const url = new URL(to, window.location.href);
  const moved = url.pathname !== window.location.pathname;
  window.history[options.replace ? "replaceState" : "pushState"](null, "", url);
  address.value = url;
  if (moved) {
    window.scrollTo(0, 0);
    // Who hears the page instead of seeing it is told where they are now.
    requestAnimationFrame(() => document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true }));
  }
}

/** The parameters of a path that fits a pattern such as `/t/:team/videos`; undefined where it does not. */
export function match(pattern: string, path: string): Params | undefined {
  const wanted = pattern.split("/");
  const given = path.replace(/(?<=.)\/$/, "").split("/");
  if (wanted.length !== given.length) {
    return undefined;
  }
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? "";
    if (!part.startsWith(":")) {
      if (part !== value) {
        return undefined;
      }
    } else if (value === "") {
      return undefined;
    } else {
      try {
        params[part.slice(1)] = decodeURIComponent(value);
      } catch {
        return undefined;
      }
    }
  }
  return params;
}

function isOurs(event: MouseEvent, link: HTMLAnchorElement): boolean {
  const plain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  const page = link.origin === window.location.origin && !link.pathname.startsWith("/api/");
  const fragment = link.hash !== "" && link.pathname === window.location.pathname;
  return plain && page && !fragment && !event.defaultPrevented && !link.target && !link.hasAttribute("download");
}
