/** The API of uploads, and the sending of one part. */

import { API, get, Problem, post, problemOf, remove, teamPath } from "../api.ts";
import type { CompletedOut, KnownVideo, NewUpload, Room, UploadOut, UploadWithParts } from "../schema.ts";
import { contentDigest } from "./sha256.ts";

type Begun =
  | { readonly status: "begun" | "resumed"; readonly upload: UploadWithParts; readonly known: null }
  | { readonly status: "known"; readonly upload: null; readonly known: KnownVideo };

/** One part, as it is sent. */
export interface Sending {
  readonly upload: UploadOut;
  readonly number: number;
  readonly bytes: Blob;
  readonly sha256: string;
}

/** Nothing moved for so long: the network is gone, although nobody has said so. */
const SILENT_MS = 60_000;

/** The uploads of one team. */
export class UploadRequests {
  private readonly team: string;

  constructor(team: string) {
    this.team = team;
  }

  list(signal?: AbortSignal): Promise<{ readonly items: readonly UploadOut[]; readonly room: Room }> {
    return get(`${this.path()}?limit=200`, signal ? { signal } : {});
  }

  begin(wish: NewUpload, signal: AbortSignal): Promise<Begun> {
    return post(this.path(), wish, { signal });
  }

  read(upload: string, signal: AbortSignal): Promise<UploadWithParts> {
    return get(this.path(upload), { signal });
  }

  complete(upload: string, signal: AbortSignal): Promise<CompletedOut> {
    return post(this.path(upload, "complete"), undefined, { signal });
  }

  giveUp(upload: string): Promise<void> {
    return remove(this.path(upload));
  }

  /** Send one part, wherever this upload's parts go. `onSent` is called with the bytes that have left so far. */
  async send(part: Sending, onSent: (bytes: number) => void, signal: AbortSignal): Promise<void> {
    const { upload, number, bytes, sha256 } = part;
    const path = this.path(upload.id, "parts", String(number));
    if (upload.send_to === "server") {
      await put(`${API}${path}`, bytes, { "Content-Digest": contentDigest(sha256) }, onSent, signal);
      return;
    }
    const where: { url: string; headers: Record<string, string> } = await post(`${path}/url`, { sha256 }, { signal });
    const etag = await put(where.url, bytes, where.headers, onSent, signal);
    await post(`${path}/sent`, { sha256, etag }, { signal });
  }

  private path(...parts: readonly string[]): string {
    return teamPath(this.team, "uploads", ...parts);
  }
}

/** PUT bytes; `fetch` does not say how much has left. Gives the answer's ETag. */
function put(
  url: string,
  bytes: Blob,
  headers: Readonly<Record<string, string>>,
  onSent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let silence: ReturnType<typeof setTimeout> | undefined;
    const abort = () => request.abort();
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(abort, SILENT_MS);
    };
    request.upload.onprogress = (event) => {
      heard();
      onSent(event.loaded);
    };
    request.onloadend = () => {
      clearTimeout(silence);
      signal.removeEventListener("abort", abort);
      if (signal.aborted) {
        reject(signal.reason);
      } else if (request.status === 0) {
        reject(new Problem(0, "urn:poseline:unreachable", "The connection was lost."));
      } else if (request.status >= 400) {
        problemOf(answerOf(request)).then(reject, reject);
      } else {
        onSent(bytes.size);
        resolve(request.getResponseHeader("ETag") ?? "");
      }
    };
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    signal.addEventListener("abort", abort);
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) {
      request.setRequestHeader(name, value);
    }
    heard();
    request.send(bytes);
  });
}

function answerOf(request: XMLHttpRequest): Response {
  const headers = new Headers();
  for (const name of ["Server", "Retry-After"]) {
    const value = request.getResponseHeader(name);
    if (value !== null) {
      headers.set(name, value);
    }
  }
  return new Response(request.responseText, { status: request.status, headers });
}
