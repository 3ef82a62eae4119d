/** What is searched for: kept in the page's address, so that a search can be linked and comes back with "back". */

export interface Filters {
  readonly name: string;
  /** KEY=VALUE, several separated by commas. */
  readonly tags: string;
  readonly state: string;
  /** Days, such as 2026-11-27, by this browser's clock; `until` is included. */
  readonly since: string;
  readonly until: string;
}

/** What the API takes. */
export const LONGEST_NAME = 500;

export const NOTHING: Filters = { name: "", tags: "", state: "", since: "", until: "" };

/** States by what people call them; each may stand for several of the API's. */
export const STATES: Readonly<Record<string, { readonly title: string; readonly states: readonly string[] }>> = {
  open: { title: "Under way", states: ["uploading", "stored", "waiting", "queued", "running", "finishing"] },
  done: { title: "Analysed", states: ["done"] },
  failed: { title: "Failed", states: ["failed", "rejected"] },
  cancelled: { title: "Cancelled", states: ["cancelled"] },
  ready: { title: "Not analysed", states: ["ready"] },
};

export function filtersOf(query: URLSearchParams): Filters {
  const given = Object.keys(NOTHING).map((name) => [name, query.get(name) ?? ""]);
  return { ...NOTHING, ...Object.fromEntries(given) };
}

/** The address's query for these filters; empty without any. */
export function addressOf(filters: Filters): string {
  const given = Object.entries(filters).filter(([, value]) => value !== "");
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
}

/** The API's query for these filters; empty without any. */
export function queryOf(filters: Filters): string {
  const query = new URLSearchParams();
  if (filters.name.trim()) {
    query.set("name", filters.name.trim().slice(0, LONGEST_NAME));
  }
  for (const tag of filters.tags.split(",").map((each) => each.trim())) {
    if (tag) {
      query.append("tag", tag);
    }
  }
  for (const state of STATES[filters.state]?.states ?? []) {
    query.append("state", state);
  }
  setDay(query, "since", filters.since, 0);
  setDay(query, "before", filters.until, 1);
  return query.toString();
}

function setDay(query: URLSearchParams, name: string, day: string, later: number): void {
  const [year, month, date] = day.split("-").map(Number);
  if (year && month && date) {
    query.set(name, new Date(year, month - 1, date + later).toISOString());
  }
}
