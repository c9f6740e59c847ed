// Short notices of what was done; screen readers say them.

import { h } from "../dom.js";

const SHOWN_MS = 5000;

export function notice(text) {
  const element = h("p", { class: "notice" }, text);
  place().append(element);
  setTimeout(() => element.remove(), SHOWN_MS);
}

/** Over an open dialog, since what is behind one can be neither seen nor heard. */
function place() {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (!dialog) return document.getElementById("notices");
  let own = dialog.querySelector(":scope > .notices");
  if (!own) {
    own = h("div", { class: "notices", role: "status", "aria-live": "polite" });
    dialog.append(own);
  }
  return own;
}
