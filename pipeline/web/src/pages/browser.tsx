import { useEffect, useState } from "preact/hooks";
import { type Abilities, askAbilities, CODECS } from "../abilities.ts";
import { Frame } from "../frame.tsx";
import { InsecureNotice } from "../insecure.tsx";

/** What this browser can do for the pages. */
export default function BrowserPage() {
  const [abilities, setAbilities] = useState<Abilities>();
  useEffect(() => {
    void askAbilities(window).then(setAbilities);
  }, []);
  return (
    <Frame title="This browser">
      <InsecureNotice />
      {abilities && (
        <table>
          <thead>
            <tr>
              <th scope="col">Video codec</th>
              <th scope="col">Exact to the frame</th>
            </tr>
          </thead>
          <tbody>
            {Object.keys(CODECS).map((codec) => (
              <tr key={codec}>
                <th scope="row">{codec}</th>
                <td>{abilities.decodes.some((decoded) => decoded === codec) ? "yes" : "no"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Frame>
  );
}
