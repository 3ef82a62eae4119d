/** A live session over all that may happen to its connection: lost and found again, refused, degraded, over. */

import { signal } from "@preact/signals";
import { API, get, messageOf, teamPath } from "../api.ts";
import type { Me } from "../schema.ts";
import { includes } from "../session.ts";
import { type Held, LiveConnection } from "./connection.ts";
import type { Counted } from "./counts.ts";
import { openEncoder, type Size, sentSize } from "./encoder.ts";
import type { Ended } from "./ended.ts";
import { backOffMs } from "./pace.ts";
import { CLOSED, type Codec, type Mode, type Ready, type Result, type Summary } from "./protocol.ts";

export type ServerMode = "full" | "hybrid";

export type LinkState =
  | { readonly kind: "off" | "ending" }
  /** `told` is why it takes long, where the server says so. */
  | { readonly kind: "connecting"; readonly told: string }
  | { readonly kind: "open"; readonly mode: ServerMode; readonly everyMs: number; readonly told: string }
  /** It tries again by itself. */
  | { readonly kind: "waiting"; readonly reason: string; readonly isOverload: boolean }
  | { readonly kind: "refused"; readonly reason: string; readonly offer: "hybrid" | "preview" }
  | { readonly kind: "over"; readonly reason: string };

/** What a session's frames came to. */
export interface Account {
  readonly counts: Counted;
  /** Undefined where the connection was lost before the server had counted. */
  readonly server: Summary | undefined;
}

export interface Source {
  readonly size: Size;
  readonly fps: number;
  /** Whether the session is to become a video of the team. */
  readonly keep: boolean;
}

/** What was kept of the sessions since the page was opened; each connection is one. */
export interface Kept {
  readonly videos: readonly string[];
  /** Connections that were lost: they are kept, too, and only the server knows as what. */
  readonly lost: number;
  /** Why something was not kept. */
  readonly problem: string;
}

const NOTHING_KEPT: Kept = { videos: [], lost: 0, problem: "" };

export interface LinkListener {
  ready(ready: Ready): void;
  /** The session has another mode now. */
  changed(): void;
  result(result: Result, held: Held, arrivedAtMs: number, connection: LiveConnection): void;
}

/** A server that has no room is asked again after so long. */
const NO_ROOM_MS = 15_000;
const USUAL_EVERY_MS = 500;
const LOST = "The connection to the server was lost. It is tried again";

export class LiveLink {
  readonly state = signal<LinkState>({ kind: "off" });
  /** Of the session before this one, or of this one once it is over. */
  readonly account = signal<Account | undefined>(undefined);
  readonly kept = signal<Kept>(NOTHING_KEPT);
  connection: LiveConnection | undefined;
  /** How often a connection was lost since the session began. */
  lost = 0;
  private readonly team: string;
  private readonly on: LinkListener;
  private wanted: ServerMode = "full";
  private source: Source | undefined;
  private codecs: readonly Codec[] = ["h264", "jpeg"];
  private failed = 0;
  private wasIn = false;
  private timer = 0;
  private attempt = 0;

  constructor(team: string, on: LinkListener) {
    this.team = team;
    this.on = on;
    window.addEventListener("online", this.tryNow);
  }

  get isOn(): boolean {
    return ["connecting", "open", "waiting"].includes(this.state.value.kind);
  }

  /** Begin a session, or let one that goes on have another mode. */
  begin(mode: ServerMode, source: Source): void {
    this.wanted = mode;
    this.source = source;
    if (this.state.value.kind === "open") {
      this.connection?.wish(mode);
    } else if (!this.isOn) {
      this.lost = this.failed = 0;
      this.wasIn = false;
      this.account.value = undefined;
      this.noteKept({ problem: "" });
      void this.connect();
    }
  }

  /** End the session. `account` has what came of it once the server has answered. */
  end(): void {
    window.clearTimeout(this.timer);
    this.attempt++;
    const connection = this.connection;
    if (connection && this.state.value.kind === "open") {
      this.state.value = { kind: "ending" };
      void connection.bye();
    } else {
      this.state.value = { kind: "off" };
      connection?.abandon();
    }
  }

  close(): void {
    window.removeEventListener("online", this.tryNow);
    window.clearTimeout(this.timer);
    this.attempt++;
    this.state.value = { kind: "off" };
    this.connection?.abandon();
  }

  private readonly tryNow = () => {
    if (this.state.value.kind === "waiting") {
      window.clearTimeout(this.timer);
      void this.connect();
    }
  };

  private async connect(): Promise<void> {
    const attempt = ++this.attempt;
    const { source } = this;
    if (!source) {
      return;
    }
    if (this.state.value.kind !== "waiting") {
      this.state.value = { kind: "connecting", told: "" };
    }
    const size = sentSize(source.size.width, source.size.height);
    const encoder = await openEncoder(size, source.fps, this.codecs);
    if (attempt !== this.attempt) {
      encoder.close();
      return;
    }
    const url = `${window.location.origin.replace(/^http/, "ws")}${API}${teamPath(this.team, "live")}`;
    const hello = {
      codec: encoder.codec,
      ...size,
      mode: this.wanted,
      fps: source.fps,
      name: "",
      keep: source.keep,
    };
    const connection = new LiveConnection(url, hello, encoder, {
      starting: (reason) => {
        this.state.value = { kind: "connecting", told: sentence(reason) };
      },
      ready: (ready) => {
        this.failed = 0;
        this.wasIn = true;
        this.state.value = { kind: "open", mode: ready.mode, everyMs: ready.every_ms ?? USUAL_EVERY_MS, told: "" };
        this.on.ready(ready);
        if (ready.mode !== this.wanted) {
          connection.wish(this.wanted);
        }
      },
      mode: ({ mode, every_ms, reason }) => this.changed(mode, every_ms, reason),
      result: (result, held, arrivedAtMs) => this.on.result(result, held, arrivedAtMs, connection),
      encoderBroke: () => {
        this.codecs = ["jpeg"];
        connection.abandon();
      },
      notKept: (reason) => this.noteKept({ problem: sentence(reason) }),
      ended: (ended) => this.ended(connection, ended),
    });
    this.connection = connection;
  }

  private changed(mode: Mode, everyMs: number | null, reason: string): void {
    // `preview` is the last message of a session that ends for want of room.
    if (mode !== "preview" && this.state.value.kind === "open") {
      const told = mode === this.wanted && !/overload/.test(reason) ? "" : reason;
      if (mode !== this.state.value.mode) {
        this.on.changed();
      }
      this.state.value = { kind: "open", mode, everyMs: everyMs ?? USUAL_EVERY_MS, told };
    }
  }

  private ended(connection: LiveConnection, ended: Ended): void {
    if (this.connection !== connection) {
      return;
    }
    this.connection = undefined;
    if (ended.wasReady) {
      this.account.value = { counts: connection.counts.now(), server: connection.summary };
      this.keepAccount(connection.summary);
    }
    const { kind } = this.state.value;
    if (kind === "off" || kind === "ending") {
      this.state.value = { kind: "off" };
      return;
    }
    this.goOn(ended);
  }

  private keepAccount(summary: Summary | undefined): void {
    const { videos, lost } = this.kept.value;
    if (this.source?.keep && !summary) {
      this.noteKept({ lost: lost + 1 });
    } else if (summary) {
      this.noteKept({
        videos: summary.video ? [...videos, summary.video] : videos,
        ...(summary.not_kept ? { problem: sentence(summary.not_kept) } : {}),
      });
    }
  }

  private noteKept(change: Partial<Kept>): void {
    this.kept.value = { ...this.kept.value, ...change };
  }

  /** What follows the end of a connection that nobody here asked for. */
  private goOn({ code, reason, wasReady, offer }: Ended): void {
    const said = sentence(reason);
    if (code === CLOSED.refused && !this.wasIn) {
      this.state.value = { kind: "refused", reason: said, offer: offer ?? "preview" };
    } else if (code === CLOSED.refused || code === CLOSED.overload) {
      this.retry(NO_ROOM_MS * (1 + Math.random()), said, true);
    } else if (code === CLOSED.signedOut || code === CLOSED.over || code === CLOSED.protocol) {
      this.state.value = { kind: "over", reason: said };
    } else if (code === CLOSED.tooLarge) {
      this.state.value = {
        kind: "over",
        reason: "A frame was larger than the server takes. Choose a lower resolution.",
      };
    } else {
      this.lost += wasReady ? 1 : 0;
      this.retry(backOffMs(this.failed++, Math.random()), `${LOST}.`, false);
      if (!wasReady) {
        void this.explain();
      }
    }
  }

  private retry(afterMs: number, reason: string, isOverload: boolean): void {
    this.state.value = { kind: "waiting", reason, isOverload };
    this.timer = window.setTimeout(() => void this.connect(), afterMs);
  }

  /** Browsers do not tell why a connection was denied; the API does. */
  private async explain(): Promise<void> {
    const { attempt } = this;
    const found = await get<Me>("/session").then(reasonIn(this.team), (error: unknown) => ({
      reason: `${messageOf(error)} It is tried again.`,
      isOver: false,
    }));
    if (attempt !== this.attempt || this.state.value.kind !== "waiting") {
      return;
    }
    if (found.isOver) {
      window.clearTimeout(this.timer);
      this.state.value = { kind: "over", reason: found.reason };
    } else {
      this.state.value = { kind: "waiting", reason: found.reason, isOverload: false };
    }
  }
}

/** Why the server let nobody in, by what it says of who asks. */
function reasonIn(team: string): (who: Me) => { reason: string; isOver: boolean } {
  return (who) => {
    if (who.kind === "nobody") {
      return { reason: "You were signed out. Reload this page and sign in again.", isOver: true };
    }
    const role = who.teams.find(({ id }) => id === team)?.role;
    if (!role || !includes(role, "coach")) {
      return { reason: "Only coaches and owners of a team film live. Ask an owner for that role.", isOver: true };
    }
    return {
      reason:
        "The server answers, but no WebSocket comes through; a proxy before it has to pass `Upgrade` on. It is tried again.",
      isOver: false,
    };
  };
}

/** As a sentence: capital first, full stop last. */
function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
