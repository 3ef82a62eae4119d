/** Who is in view, and the joints of the one who is followed as numbers. */

import { useRef } from "preact/hooks";
import { anglesOf } from "../../player/angles.ts";
import { isSame } from "../../player/follow.ts";
import { OTHERS, PERSON } from "../../player/overlay.ts";
import type { Player } from "../../player/player.ts";
import type { PlayerState } from "../../player/player_state.ts";
import type { Person } from "../../player/pose_segment.ts";

interface PeopleProps {
  readonly player: Player;
  readonly state: PlayerState;
}

export function People({ player, state }: PeopleProps) {
  const people = state.poses?.state === "done" ? state.poses.people : [];
  const { followed, following } = state;
  return (
    <section class="people" aria-labelledby="people-title">
      <h2 id="people-title">People</h2>
      <p class="hint">{hintOn(state)}</p>
      <Choices player={player} state={state} people={people} />
      {following && (
        <label>
          <input
            type="checkbox"
            checked={state.hideOthers}
            onChange={(event) => player.setHideOthers(event.currentTarget.checked)}
          />{" "}
          Hide the others
        </label>
      )}
      {following && !followed && <p role="status">The one you follow is not in view here.</p>}
      {followed && <Numbers person={followed} names={player.table.header.keypoints} />}
    </section>
  );
}

/** What a person can know of who is who. */
function hintOn({ poses, following }: PlayerState): string {
  if (poses?.state === "done" && poses.people.length === 0 && !following) {
    return "Nobody was found in this picture.";
  }
  return `${
    following ? "" : "Click somebody in the picture, or choose here, to follow them. "
  }From one picture to the next, only who is followed is told apart.`;
}

/** Who is followed comes first; the others are in the order in which they stand in the picture. */
function Choices({ player, state, people }: PeopleProps & { readonly people: readonly Person[] }) {
  const { followed, following } = state;
  const focusNext = useRef<Person | undefined>(undefined);
  const pressed = useRef<HTMLButtonElement | null>(null);
  const before = useRef<Person | undefined>(undefined);
  // Whoever uses the keyboard stays with the same person when a button goes away.
  if (!following && pressed.current !== null && document.activeElement === pressed.current) {
    focusNext.current = before.current;
  }
  before.current = followed;
  const choose = (person: Person | undefined) => {
    focusNext.current = person ?? followed;
    player.follow(person);
  };
  const focus = (button: HTMLButtonElement | null, person: Person | undefined) => {
    if (button && isSame(person, focusNext.current)) {
      focusNext.current = undefined;
      button.focus();
    }
  };
  return (
    <ul>
      {following && (
        <li key="followed">
          <button
            type="button"
            aria-pressed="true"
            title="Follow them no longer (Esc)"
            ref={(button) => {
              pressed.current = button;
              focus(button, followed);
            }}
            onClick={() => choose(undefined)}
          >
            <Swatch colour={PERSON} />
            The one you follow {followed && <Sure person={followed} />}
          </button>
        </li>
      )}
      {fromLeft(people).map(
        (person, index) =>
          person !== followed && (
            <li key={index}>
              <button
                type="button"
                aria-pressed="false"
                ref={(button) => focus(button, person)}
                onClick={() => choose(person)}
                onPointerEnter={() => player.point(person)}
                onPointerLeave={() => player.point(undefined)}
                onFocus={() => player.point(person)}
                onBlur={() => player.point(undefined)}
              >
                <Swatch colour={following ? OTHERS : PERSON} />
                {people.length === 1 ? "The one in view" : `${ordinal(index + 1)} from the left`}{" "}
                <Sure person={person} />
              </button>
            </li>
          ),
      )}
    </ul>
  );
}

function Swatch({ colour }: { readonly colour: string }) {
  return (
    <svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">
      <circle cx="5" cy="5" r="5" fill={colour} />
    </svg>
  );
}

function Sure({ person }: { readonly person: Person }) {
  return <small>{Math.round(person.score * 100)} % sure</small>;
}

function fromLeft(people: readonly Person[]): readonly Person[] {
  const middle = ({ box: [left, , right] }: Person) => left + right;
  return [...people].sort((a, b) => middle(a) - middle(b));
}

function ordinal(place: number): string {
  const ending = { one: "st", two: "nd", few: "rd" }[ORDINALS.select(place) as string] ?? "th";
  return `${place}${ending}`;
}

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });

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
