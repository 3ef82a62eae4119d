/** The page at the browser's address, for who may see it. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Again, lineOf } from "./again.ts";
import { passes } from "./api.ts";
import { Frame, NotFound, teamFor } from "./frame.tsx";
import { type Page, type PageProps, pageAt } from "./pages.ts";
import { Failure } from "./parts.tsx";
import { address } from "./router.ts";
import { loadMe, me, rememberTeam } from "./session.ts";
import { SignInForm } from "./sign_in_form.tsx";

export function App() {
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    const again = new Again();
    const ask = () => {
      loadMe().then(
        () => setError(undefined),
        (problem: unknown) => {
          setError(new Error(lineOf(problem)));
          if (passes(problem)) {
            again.later(ask);
          }
        },
      );
    };
    ask();
    return () => again.stop();
  }, []);
  if (error !== undefined) {
    return (
      <Frame title="Poseline">
        <Failure error={error} />
      </Frame>
    );
  }
  const found = pageAt(address.value.pathname);
  const told = me.value;
  if (!told) {
    return null;
  }
  if (!found) {
    return <NotFound team={teamFor(address.value.pathname.split("/")[2] ?? "")} />;
  }
  const { page, params } = found;
  const team = params.team === undefined ? undefined : teamFor(params.team);
  const known = told.kind === "account" || (page.for === "team" && team !== undefined);
  if (page.for !== "anybody" && !known) {
    return (
      <Frame title="Sign in">
        <SignInForm />
      </Frame>
    );
  }
  return page.for === "team" && !team ? <NotFound /> : <Shown page={page} params={params} team={team} />;
}

/** One page, once its code is there. */
function Shown({ page, params, team }: PageProps & { page: Page }) {
  const [loaded, setLoaded] = useState<{ page: Page; component: ComponentType<PageProps> }>();
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    let wanted = true;
    page.load().then(
      (module) => wanted && setLoaded({ page, component: module.default }),
      () => wanted && setError(new Error("This page could not be loaded; Poseline may have been updated. Reload it.")),
    );
    return () => {
      wanted = false;
    };
  }, [page]);
  useEffect(() => {
    if (team) {
      rememberTeam(team.id);
    }
  }, [team]);
  if (error !== undefined) {
    return (
      <Frame title="Poseline" team={team}>
        <Failure error={error} />
      </Frame>
    );
  }
  const Component = loaded?.page === page ? loaded.component : undefined;
  return Component ? (
    <Component key={address.value.pathname} params={params} team={team} />
  ) : (
    <Frame title="…" team={team}>
      {null}
    </Frame>
  );
}
