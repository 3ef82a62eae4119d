/** Makes the picture as large as the window lets it be with the strip and the controls below it still in view. */

import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

/** What must be seen with the picture, without scrolling. */
const NEEDED = ".timeline, .transport-keys, .position";
/** The other controls, where they leave the picture this much of the window's height. */
const WELCOME = ".transport";
const ENOUGH = 0.45;
const LEAST_PX = 120;
const MARGIN_PX = 6;

/** Sets `--stage-height` of an element that holds pictures (`.stage`) and controls, and keeps it right. */
export function useFit(viewer: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const element = viewer.current;
    if (!element) {
      return;
    }
    const fit = () => {
      const height = `${heightFor(element)}px`;
      if (element.style.getPropertyValue("--stage-height") !== height) {
        element.style.setProperty("--stage-height", height);
      }
    };
    const watcher = new ResizeObserver(fit);
    watcher.observe(element);
    watcher.observe(document.body); // what is above may wrap
    window.addEventListener("resize", fit);
    return () => {
      watcher.disconnect();
      window.removeEventListener("resize", fit);
    };
  }, [viewer]);
}

function heightFor(viewer: HTMLElement): number {
  const stages = [...viewer.querySelectorAll(".stage")].map((stage) => stage.getBoundingClientRect());
  const [first] = stages;
  if (!first) {
    return LEAST_PX;
  }
  const stacked = stages.filter(({ left }) => left === first.left);
  const pictures = stacked.reduce((sum, { height }) => sum + height, 0);
  const room = window.innerHeight - (first.top + window.scrollY) - MARGIN_PX;
  // A control beside the picture asks for no room below it.
  const below = (selector: string) =>
    [...viewer.querySelectorAll(selector)]
      .map((control) => control.getBoundingClientRect())
      .filter(({ left }) => left < first.right)
      .reduce((most, { bottom }) => Math.max(most, bottom - first.top - pictures), 0);
  const each = (selector: string) => Math.floor((room - below(selector)) / stacked.length);
  const withAll = each(`${NEEDED}, ${WELCOME}`);
  const enough = (ENOUGH * window.innerHeight) / stacked.length;
  return Math.max(LEAST_PX, withAll >= enough ? withAll : each(NEEDED));
}
