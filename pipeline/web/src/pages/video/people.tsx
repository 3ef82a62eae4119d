/** Who is in view, and the joints of the one who is followed as numbers. */

import { anglesOf } from "../../player/angles.ts";
import { colourOf } from "../../player/overlay.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";
import type { Person } from "../../player/pose_segment.ts";

interface PeopleProps {
  readonly player: Player;
  readonly state: PlayerState;
}

export function People({ player, state }: PeopleProps) {
  const people = state.poses?.state === "done" ? state.poses.people : [];
  const { followed } = state;
  return (
    <section class="people" aria-labelledby="people-title">
      <h2 id="people-title">People</h2>
      <p class="hint">Click somebody in the picture, or choose here, to follow them.</p>
      <ul>
        {people.map((person, rank) => (
          <li key={rank}>
            <button
              type="button"
              aria-pressed={person === followed}
              onClick={() => player.follow(person === followed ? undefined : person)}
            >
              <svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">
                <circle cx="5" cy="5" r="5" fill={colourOf(rank)} />
              </svg>
              Person {rank + 1} <small>{Math.round(person.score * 100)} %</small>
            </button>
          </li>
        ))}
      </ul>
      {state.following && (
        <label>
          <input
            type="checkbox"
            checked={state.hideOthers}
            onChange={(event) => player.setHideOthers(event.currentTarget.checked)}
          />{" "}
          Hide the others
        </label>
      )}
      {state.following && !followed && <p role="status">The one you follow is not in view here.</p>}
      {followed && <Numbers person={followed} names={player.table.header.keypoints} />}
    </section>
  );
}

function Numbers({ person, names }: { readonly person: Person; readonly names: readonly string[] }) {
  const angles = anglesOf(person, names);
  const joints = [...new Set(angles.map(({ joint }) => joint))];
  const degrees = (joint: string, side: string) => {
    const found = angles.find((angle) => angle.joint === joint && angle.side === side)?.degrees;
    return found === undefined ? "–" : `${Math.round(found)}°`;
  };
  return (
    <>
      {joints.length > 0 && (
        <table class="angles">
          <caption>Angles in the picture</caption>
          <thead>
            <tr>
              <th scope="col">Joint</th>
              <th scope="col">Left</th>
              <th scope="col">Right</th>
            </tr>
          </thead>
          <tbody>
            {joints.map((joint) => (
              <tr key={joint}>
                <th scope="row">{joint}</th>
                <td>{degrees(joint, "left")}</td>
                <td>{degrees(joint, "right")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <details>
        <summary>Keypoints</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">Keypoint</th>
              <th scope="col">x</th>
              <th scope="col">y</th>
              <th scope="col">Sure</th>
            </tr>
          </thead>
          <tbody>
            {person.points.map(({ x, y, confidence }, index) => (
              <tr key={names[index] ?? index}>
                <th scope="row">{(names[index] ?? String(index)).replaceAll("_", " ")}</th>
                <td>{x.toFixed(1)}</td>
                <td>{y.toFixed(1)}</td>
                <td>{confidence.toFixed(2)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  );
}
