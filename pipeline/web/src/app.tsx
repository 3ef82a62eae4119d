import type { Signal } from "@preact/signals";
import { lazy, Suspense } from "preact/compat";
import { type Abilities, CODECS } from "./abilities.ts";

const VideoPage = lazy(() => import("./pages/video.tsx").then(({ VideoPage }) => ({ default: VideoPage })));

export function App({ abilities }: { abilities: Signal<Abilities | undefined> }) {
  const [, team, video] = /^\/t\/([0-9a-f-]+)\/videos\/([0-9a-f-]+)$/.exec(window.location.pathname) ?? [];
  return (
    <>
      <header>
        <h1>Poseline</h1>
      </header>
      <main>
        {team && video ? (
          <Suspense fallback={null}>
            <VideoPage team={team} video={video} />
          </Suspense>
        ) : (
          abilities.value && <ThisBrowser abilities={abilities.value} />
        )}
      </main>
    </>
  );
}

function ThisBrowser({ abilities }: { abilities: Abilities }) {
  return (
    <section aria-labelledby="this-browser">
      <h2 id="this-browser">This browser</h2>
      {!abilities.secure && <InsecureNotice />}
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
    </section>
  );
}

function InsecureNotice() {
  return (
    <p role="alert">
      This page came over plain HTTP. Browsers then allow no camera, no exact playback and no check of uploads; open it
      over HTTPS.
    </p>
  );
}
