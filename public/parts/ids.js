// Ids, with a button that copies them.

import { h, icon } from "../dom.js";
import { copyText } from "./clipboard.js";

/** A small button that copies `text`, to stand beside it. */
export const copyIcon = (text) =>
  h(
    "button",
    {
      class: "copy-icon",
      type: "button",
      title: "Copy",
      "aria-label": `Copy ${text}`,
      onclick: () => copyText(text),
    },
    icon("copy"),
  );

export const idText = (id) =>
  h("span", { class: "id" }, h("code", { class: "wrap" }, id), copyIcon(id));
