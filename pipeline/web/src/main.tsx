import { signal } from "@preact/signals";
import { render } from "preact";
import { type Abilities, askAbilities } from "./abilities.ts";
import { App } from "./app.tsx";
import "./style.css";

const place = document.getElementById("app");
if (!place) {
  throw new Error("index.html has no #app");
}
const abilities = signal<Abilities>();
render(<App abilities={abilities} />, place);
abilities.value = await askAbilities(window);
