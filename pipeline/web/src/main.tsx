import { render } from "preact";
import { App } from "./app.tsx";
import { followAddress } from "./router.ts";
import { followSession } from "./session.ts";
import "./style.css";
import "./controls.css";

const place = document.getElementById("app");
if (!place) {
  throw new Error("index.html has no #app");
}
followAddress();
followSession();
render(<App />, place);
