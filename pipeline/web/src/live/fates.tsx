/** What became of every frame, counted here, and at the end compared with the server's own count. */

import { type Counted, disagreements } from "./counts.ts";
import type { LiveSession } from "./live_session.ts";

const ROWS: readonly (readonly [keyof Counted, string])[] = [
  ["captured", "Captured"],
  ["dropped", "Not sent"],
  ["sent", "Sent"],
  ["analysed", "Analysed"],
  ["superseded", "Superseded by a newer one"],
  ["failed", "Failed"],
  ["open", "Without an answer"],
];

export function Fates({ session }: { session: LiveSession }) {
  void session.told.value;
  const { connection, lost } = session.link;
  const account = session.link.account.value;
  const counts = connection?.ready ? connection.counts.now() : account?.counts;
  if (!counts) {
    return null;
  }
  return (
    <section class="live-fates" aria-labelledby="fates">
      <h2 id="fates">What became of the frames</h2>
      <table>
        <tbody>
          {ROWS.map(([name, text]) => (
            <tr key={name} data-fate={name}>
              <th scope="row">{text}</th>
              <td>{counts[name]}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {lost > 0 && (
        <p class="soft">
          The connection was lost {lost === 1 ? "once" : `${lost} times`}; each one is counted for itself.
        </p>
      )}
      {!connection?.ready && account && <Verdict session={session} />}
    </section>
  );
}

function Verdict({ session }: { session: LiveSession }) {
  const account = session.link.account.value;
  if (!account) {
    return null;
  }
  if (!account.server) {
    return (
      <p>The connection was lost before the server could count; what it did with open frames is not known here.</p>
    );
  }
  const differ = disagreements(account.counts, account.server);
  return differ.length ? (
    <p role="alert">The server counted something else: {differ.join("; ")}. Please report this.</p>
  ) : (
    <p role="status">The server counted the same.</p>
  );
}
