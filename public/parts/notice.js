// Short confirmations, which screen readers announce.

import { h } from "../dom.js";

const SHOWN_MS = 5000;

export function notice(text) {
  const element = h("p", { class: "notice" }, text);
  container().append(element);
  setTimeout(() => element.remove(), SHOWN_MS);
}

/** Inside an open dialog, if there is one: it hides the rest of the page. */
function container() {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (!dialog) return document.getElementById("notices");
  let own = dialog.querySelector(":scope > .notices");
  if (!own) {
    own = h("div", { class: "notices", role: "status", "aria-live": "polite" });
    dialog.append(own);
  }
  return own;
}
