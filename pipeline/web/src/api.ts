/** The API, called from pages. What goes wrong is thrown as a `Problem`, whose message says what to do. */

export const API = "/api/v1";

const UNREACHABLE = "urn:poseline:unreachable";
const NOT_READY: readonly number[] = [502, 503, 504];

/** An answer of `application/problem+json`, or that there was none. */
export class Problem extends Error {
  /** The answer's status; 0 where the server was not reached. */
  readonly status: number;
  /** What kind of problem it is, such as `urn:poseline:not-found`. */
  readonly type: string;
  /** How long the server asks to wait before it is asked again, in ms. */
  readonly retryAfterMs: number;

  constructor(status: number, type: string, detail: string, retryAfterMs = 0) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.type = type;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface Options {
  /** To give up waiting. */
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The path of something of a team, with every part escaped: `teamPath(id, "videos", video)`. */
export function teamPath(team: string, ...parts: readonly string[]): string {
  return ["/teams", team, ...parts].map((part, index) => (index === 0 ? part : encodeURIComponent(part))).join("/");
}

export const get = <T>(path: string, options?: Options) => call<T>("GET", path, undefined, options);
export const post = <T = void>(path: string, body?: unknown, options?: Options) => call<T>("POST", path, body, options);
export const put = <T = void>(path: string, body?: unknown, options?: Options) => call<T>("PUT", path, body, options);
export const patch = <T = void>(path: string, body?: unknown, options?: Options) =>
  call<T>("PATCH", path, body, options);
export const remove = (path: string, options?: Options, body?: unknown) => call<void>("DELETE", path, body, options);

let tellSignedOut: () => void = () => undefined;

/** Calls `tell` whenever the server asks to sign in. */
export function onSignedOut(tell: () => void): void {
  tellSignedOut = tell;
}

/** One request; `body` goes as JSON. Undefined where the answer is empty. */
async function call<T>(method: string, path: string, body?: unknown, options: Options = {}): Promise<T> {
  const answer = await ask(method, path, body, options);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** What is at a path, as it is. */
export async function getFile(path: string, options?: Options): Promise<Blob> {
  return (await ask("GET", path, undefined, options)).blob();
}

async function ask(method: string, path: string, body: unknown, options: Options = {}): Promise<Response> {
  return fetchGood(`${API}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...options.headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

/** As `fetch`; but no answer, and one that tells a problem, are thrown as a `Problem`. */
export async function fetchGood(url: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const answer = await fetch(url, init).catch((error: unknown) => {
    if (init.signal?.aborted) {
      throw error;
    }
    throw new Problem(0, UNREACHABLE, "The server does not answer. Is this device online?");
  });
  if (!answer.ok) {
    if (answer.status === 401) {
      tellSignedOut();
    }
    throw await problemOf(answer);
  }
  return answer;
}

/** The problem that an answer tells; also of one that does not come from Poseline, such as a proxy's. */
export async function problemOf(answer: Response): Promise<Problem> {
  const told: unknown = await answer.json().catch(() => undefined);
  const wait = 1000 * (Number(answer.headers.get("retry-after")) || 0);
  if (typeof told === "object" && told !== null && "detail" in told && "type" in told) {
    return new Problem(answer.status, String(told.type), capital(String(told.detail)), wait);
  }
  const server = answer.headers.get("server");
  const who = server ? `The proxy "${server}"` : "Something between this browser and Poseline";
  return new Problem(
    answer.status,
    "urn:poseline:not-ours",
    `${who} answered ${answer.status}; ask who runs it.`,
    wait,
  );
}

/** Whether it passes by itself, so that it helps to ask again later: the server was not reached, or is not ready. */
export function passes(error: unknown): boolean {
  return error instanceof Problem && (error.type === UNREACHABLE || NOT_READY.includes(error.status));
}

/** Whether what was asked for is not there, or not for whoever asks. */
export function isGone(error: unknown): boolean {
  return error instanceof Problem && error.status === 404;
}

/** What to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function capital(line: string): string {
  return line.charAt(0).toUpperCase() + line.slice(1);
}
