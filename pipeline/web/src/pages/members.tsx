import { useState } from "preact/hooks";
import { get, patch, remove, teamPath } from "../api.ts";
import { useCollection } from "../collection.ts";
import { ChoiceField, onSent, TextField } from "../form.tsx";
import { Frame, NotFound } from "../frame.tsx";
import type { PageProps } from "../pages.ts";
import { Failure, Secret, Time, useAction, useLoaded } from "../parts.tsx";
import type { InvitationMade, InvitationOut, Members as MemberList, MemberOut } from "../schema.ts";
import { loadMe, me, type Role, type Team } from "../session.ts";
import { Audit } from "./members_audit.tsx";
import { Keys } from "./members_keys.tsx";
import { Webhooks } from "./members_webhooks.tsx";

const ROLES: readonly Role[] = ["viewer", "coach", "owner"];
const WITH_RIGHTS: Readonly<Record<Role, string>> = {
  viewer: "viewer: sees videos and poses",
  coach: "coach: also uploads, analyses, shares and deletes",
  owner: "owner: also invites, changes roles and makes keys",
};

/** Who is in a team; for its owners also invitations, keys, webhooks and the log. */
export default function MembersPage({ team }: PageProps) {
  if (!team) {
    return <NotFound />;
  }
  const owns = team.role === "owner";
  return (
    <Frame title="Members" team={team}>
      <Members team={team} />
      {owns && <Invitations team={team} />}
      {owns && <Keys team={team} />}
      {owns && <Webhooks team={team} />}
      {owns && <Audit team={team} />}
    </Frame>
  );
}

function Members({ team }: { team: Team }) {
  const members = useLoaded(team.id, (signal) => get<MemberList>(teamPath(team.id, "members"), { signal }));
  const action = useAction();
  const change = (work: () => Promise<unknown>) =>
    action.run(async () => {
      await work();
      await Promise.all([members.reload(), loadMe()]);
    });
  const leaves = (member: MemberOut) => {
    if (window.confirm(`Remove ${member.name} from ${team.name}?`)) {
      void change(() => remove(teamPath(team.id, "members", member.account_id)));
    }
  };
  return (
    <section aria-label="Members">
      <Failure error={members.error ?? action.error} />
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">E-mail address</th>
            <th scope="col">Role</th>
            <td />
          </tr>
        </thead>
        <tbody>
          {members.value?.items.map((member) => (
            <tr key={member.account_id}>
              <th scope="row">
                {member.name}
                {member.email === me.value?.email && <span class="soft"> (you)</span>}
              </th>
              <td>{member.email}</td>
              <td>
                {team.role === "owner" ? (
                  <RoleSelect
                    label={`Role of ${member.name}`}
                    value={member.role}
                    disabled={action.busy}
                    onChange={(role) => {
                      if (window.confirm(questionOf(member, role))) {
                        void change(() => patch(teamPath(team.id, "members", member.account_id), { role }));
                      }
                    }}
                  />
                ) : (
                  member.role
                )}
              </td>
              <td class="end">
                {team.role === "owner" && member.email !== me.value?.email && (
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Remove ${member.name}`}
                    disabled={action.busy}
                    onClick={() => leaves(member)}
                  >
                    Remove
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function questionOf({ name, email }: MemberOut, role: Role): string {
  return email === me.value?.email
    ? `Become ${role} yourself? Only another owner can make you owner again.`
    : `Make ${name} ${role}? It counts from their next click on.`;
}

interface SelectProps {
  readonly label: string;
  readonly value: Role;
  readonly disabled?: boolean;
  readonly onChange: (role: Role) => void;
}

function RoleSelect({ label, value, disabled = false, onChange }: SelectProps) {
  return (
    <select
      aria-label={label}
      value={value}
      disabled={disabled}
      onChange={(event) => {
        onChange(event.currentTarget.value as Role);
        // Until the server has said so, the old role counts.
        event.currentTarget.value = value;
      }}
    >
      {ROLES.map((role) => (
        <option key={role} value={role}>
          {role}
        </option>
      ))}
    </select>
  );
}

function Invitations({ team }: { team: Team }) {
  const waiting = useCollection<InvitationOut>(teamPath(team.id, "invitations"));
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [url, setUrl] = useState<string>();
  const invite = async () => {
    const made = await waiting.add<InvitationMade>({ role, email: email || null });
    if (made) {
      setUrl(made.url);
      setEmail("");
    }
  };
  return (
    <section aria-labelledby="invite">
      <h2 id="invite">Invite somebody</h2>
      <form class="row" onSubmit={onSent(invite)}>
        <TextField
          label="E-mail address"
          type="email"
          autocomplete="off"
          placeholder="optional"
          value={email}
          onChange={setEmail}
        />
        <ChoiceField label="Role" value={role} options={WITH_RIGHTS} onChange={setRole} />
        <button class="main" type="submit" disabled={waiting.busy}>
          Make a link
        </button>
      </form>
      <Failure error={waiting.error} />
      {url && (
        <div class="panel" role="status">
          <p>Send this link to whom you invite. It works once, for 14 days, and is shown only now.</p>
          <Secret label="Invitation link" value={url} />
        </div>
      )}
      {waiting.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Invited</th>
              <th scope="col">Role</th>
              <th scope="col">Until</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {waiting.items.map((invitation) => (
              <tr key={invitation.id}>
                <th scope="row">{invitation.email ?? "whoever has the link"}</th>
                <td data-label="Role">{invitation.role}</td>
                <td data-label="Until">
                  <Time at={invitation.expires_at} />
                </td>
                <td class="end">
                  <button
                    type="button"
                    class="quiet"
                    disabled={waiting.busy}
                    onClick={() => void waiting.drop(invitation.id)}
                  >
                    Take back
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
