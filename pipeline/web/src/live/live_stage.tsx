/** The stage: the camera's picture with the preview, the server's layer over it, or the server's frames. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { LiveSession } from "./live_session.ts";

export function LiveStage({ session, children }: { session: LiveSession; children?: ComponentChildren }) {
  const picture = useRef<HTMLCanvasElement>(null);
  const layer = useRef<HTMLCanvasElement>(null);
  const result = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (picture.current && layer.current && result.current) {
      session.attach({ picture: picture.current, layer: layer.current, result: result.current });
    }
  }, [session]);
  void session.told.value;
  const { width, height } = session.camera.size.value;
  const shape = width && height ? width / height : 16 / 9;
  const isOn = session.camera.state.value.kind === "on";
  const { shown } = session;
  const showsResult = shown === "full" && session.hasResult;
  return (
    <div class="live-stage" style={{ aspectRatio: `${shape}`, "--shape": shape }} data-shown={shown}>
      <canvas
        ref={picture}
        class="picture"
        role="img"
        aria-label={
          shown === "preview" || shown === "hybrid"
            ? "The camera's picture, with the skeleton of one person"
            : "The camera's picture"
        }
        hidden={!isOn || showsResult}
      />
      <canvas
        ref={layer}
        class="layer"
        role="img"
        aria-label="Whom the server found last, dashed"
        hidden={!isOn || shown !== "hybrid" || !session.showsLayer.value}
      />
      <canvas
        ref={result}
        class="result"
        role="img"
        aria-label="The frame that the server analysed last, with everybody's skeleton"
        hidden={!isOn || !showsResult}
      />
      {isOn && <Label session={session} />}
      {children}
    </div>
  );
}

/** Which of both is seen, and how old it is. */
function Label({ session }: { session: LiveSession }) {
  void session.told.value;
  const { shown, layerAtMs } = session;
  if (shown === "hybrid") {
    return (
      <p class="live-label">
        {session.link.state.value.kind !== "open" && layerAtMs === undefined
          ? "preview; no server"
          : layerAtMs === undefined
            ? "preview; server: nothing yet"
            : `preview; dashed: server, ${((performance.now() - layerAtMs) / 1000).toFixed(1)} s ago`}
      </p>
    );
  }
  const text = { preview: "preview", camera: "camera, no poses", full: session.hasResult ? "server" : "camera" }[shown];
  return <p class="live-label">{text}</p>;
}
