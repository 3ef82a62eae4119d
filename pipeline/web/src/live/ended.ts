/** How one connection of a live session ended. */

export interface Ended {
  readonly code: number;
  readonly reason: string;
  readonly wasReady: boolean;
  readonly offer: "hybrid" | "preview" | undefined;
}
