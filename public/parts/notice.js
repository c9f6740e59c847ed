// Short notices of what was done; screen readers say them.

import { h } from "../dom.js";

const SHOWN_MS = 5000;

export function notice(text) {
  const element = h("p", { class: "notice" }, text);
  document.getElementById("notices").append(element);
  setTimeout(() => element.remove(), SHOWN_MS);
}
