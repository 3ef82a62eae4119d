/** What surrounds every page: header, team, navigation. Pages give their title and content to `Frame`. */

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { PasswordNotice } from "./password_notice.tsx";
import { address, navigate } from "./router.ts";
import { includes, me, type Team, teamOf } from "./session.ts";

interface Props {
  /** Of the window and the page's heading. */
  readonly title: string;
  /** The team whose page this is. */
  readonly team?: Team | undefined;
  /** Use the window's whole width, as a player does. */
  readonly wide?: boolean;
  /** What stands beside the heading: buttons. */
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Frame({ title, team, wide, actions, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Poseline`;
  }, [title]);
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <Header team={team} />
      <main id="content" tabIndex={-1} class={wide ? "wide" : ""}>
        {!wide && <PasswordNotice />}
        <div class="heading">
          <h1>{title}</h1>
          {actions}
        </div>
        {children}
        {wide && <PasswordNotice />}
      </main>
    </>
  );
}

function Header({ team }: { team: Team | undefined }) {
  const who = me.value;
  const member = team && who?.teams.some((each) => each.id === team.id);
  return (
    <header class="top">
      <a class="brand" href="/">
        Poseline
      </a>
      {who && who.teams.length > 0 && <TeamSwitcher current={team} teams={who.teams} />}
      {team && member && (
        <nav aria-label="Team">
          <NavLink to={`/t/${team.id}/videos`}>Videos</NavLink>
          {includes(team.role, "coach") && <NavLink to={`/t/${team.id}/upload`}>Upload</NavLink>}
          <NavLink to="/camera">Camera</NavLink>
          {includes(team.role, "coach") && <NavLink to={`/t/${team.id}/live`}>Live</NavLink>}
          <NavLink to={`/t/${team.id}/members`}>Members</NavLink>
        </nav>
      )}
      {team && !member && <span class="soft">{team.name}, shared with you</span>}
      {!team && (
        <nav aria-label="Tools">
          <NavLink to="/camera">Camera</NavLink>
        </nav>
      )}
      {who?.kind === "account" && (
        <nav class="end" aria-label="Account">
          <NavLink to="/account">{who.name}</NavLink>
        </nav>
      )}
    </header>
  );
}

function TeamSwitcher({ current, teams }: { current: Team | undefined; teams: readonly Team[] }) {
  if (teams.length === 1 && teams[0]) {
    return (
      <a class="team" href={`/t/${teams[0].id}/videos`}>
        {teams[0].name}
      </a>
    );
  }
  return (
    <select
      class="team"
      aria-label="Team"
      value={current?.id ?? ""}
      onChange={(event) => navigate(`/t/${event.currentTarget.value}/videos`)}
    >
      {!current && <option value="">Choose a team</option>}
      {teams.map((team) => (
        <option key={team.id} value={team.id}>
          {team.name}
        </option>
      ))}
    </select>
  );
}

function NavLink({ to, children }: { to: string; children: ComponentChildren }) {
  const here = address.value.pathname;
  const current = here === to ? "page" : here.startsWith(`${to}/`) ? "true" : undefined;
  return (
    <a href={to} aria-current={current}>
      {children}
    </a>
  );
}

/** The page of an address that leads nowhere, or to what somebody else owns. */
export function NotFound({ team }: { team?: Team | undefined }) {
  const who = me.value;
  return (
    <Frame title="Not found" team={team}>
      <p>There is nothing at this address, or it belongs to a team that you are not in.</p>
      {who?.kind === "nobody" && (
        <p>
          <a href="/">Sign in</a> to see your team's videos.
        </p>
      )}
    </Frame>
  );
}

/** The team of a page's address, if whoever uses this browser may see anything of it. */
export function teamFor(id: string): Team | undefined {
  return me.value && teamOf(me.value, id);
}
