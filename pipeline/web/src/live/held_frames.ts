/**
 * The frames that were sent, each held until its result is there, so that a result is drawn on its own frame and on no
 * other. As many as there are credits; of more the oldest is let go.
 */

interface Closable {
  close(): void;
}

export class HeldFrames<T extends { readonly frame: Closable }> {
  private readonly held = new Map<number, T>();
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  get size(): number {
    return this.held.size;
  }

  hold(id: number, one: T): void {
    this.held.set(id, one);
    const [oldest] = this.held.keys();
    if (this.held.size > this.most && oldest !== undefined) {
      this.take(oldest)?.frame.close();
    }
  }

  /** The frame of a result. Who takes it closes it. */
  take(id: number): T | undefined {
    const one = this.held.get(id);
    this.held.delete(id);
    return one;
  }

  clear(): void {
    for (const { frame } of this.held.values()) {
      frame.close();
    }
    this.held.clear();
  }
}
