// The dialog behind “?”: all keyboard shortcuts, those of the open screen first.

import { h } from "../dom.js";
import { button } from "./controls.js";
import { openDialog } from "./dialog.js";
import { shortcutGroups, shownKeys } from "./shortcuts.js";

export function showShortcuts() {
  const dialog = openDialog({
    title: "Keyboard shortcuts",
    body: [
      shortcutGroups().map(groupView),
      h(
        "div",
        { class: "form-actions" },
        button("Close", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}

const groupView = ({ title, list }) =>
  h(
    "section",
    { class: "stack-small" },
    h("h3", {}, title),
    h(
      "dl",
      { class: "shortcuts" },
      list.map((shortcut) =>
        h("div", {}, h("dt", {}, shortcut.text), h("dd", {}, shownKeys(shortcut).map(keyView))),
      ),
    ),
  );

const keyView = (keys, index) => [index ? " or " : null, h("kbd", {}, keys)];
