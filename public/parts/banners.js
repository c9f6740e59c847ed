// What every screen says first: another schema of the database, and emulated models.

import { h } from "../dom.js";
import { session } from "../session.js";
import { button } from "./controls.js";
import { showSchema } from "./schema.js";

const DISMISSED = "edgeneuro.emulated"; // in sessionStorage: until the tab is closed

export function banners(signal) {
  const schema = h("p", { class: "banner", role: "status" });
  const element = h("aside", { class: "banners", "aria-label": "This installation" }, schema);
  if (session.caller.emulated && !sessionStorage.getItem(DISMISSED)) element.append(emulated());
  showSchema(schema, signal);
  return element;
}

function emulated() {
  const element = h(
    "div",
    { class: "banner spread" },
    h(
      "p",
      {},
      h("strong", {}, "Emulated models. "),
      "The local emulator answers instead of Workers AI and vendors: answers, confidences and accuracy are not those of real models, and costs are list prices.",
    ),
    button(
      "Dismiss",
      () => {
        sessionStorage.setItem(DISMISSED, "true");
        element.remove();
      },
      { size: "small", label: "Dismiss the notice about emulated models" },
    ),
  );
  return element;
}
