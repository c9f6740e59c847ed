// Lists that people put in order: by dragging, with the arrow keys or with buttons.

import { h } from "../dom.js";
import { button } from "./controls.js";

/**
 * `items` gives the present list, `move(from, to, dragged)` changes the order. A place outside the
 * list, or the present one, is no move. Without `movable` the list is only shown.
 */
export function ordering({ items, movable, move }) {
  let dragged = null;
  const tryMove = (from, to, byDrag = false) => {
    if (to >= 0 && to < items().length && from !== to) move(from, to, byDrag);
  };

  /** `key` identifies what is dragged. */
  const item = (index, { key, label, ...attributes }, ...content) => {
    const element = h(
      "li",
      {
        class: "order-item",
        ...attributes,
        tabindex: movable ? "0" : null,
        draggable: movable ? "true" : null,
        "aria-label": label,
        onkeydown: (event) => {
          const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
          if (!step || event.target !== element || !movable) return;
          event.preventDefault();
          tryMove(index, index + step);
        },
        ondragstart: (event) => {
          dragged = index;
          event.dataTransfer.setData("text/plain", key); // browsers do not drag without data
          event.dataTransfer.effectAllowed = "move";
        },
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => {
          event.preventDefault();
          if (dragged !== null) tryMove(dragged, index, true); // null: something else was dropped
          dragged = null;
        },
      },
      h("span", { class: "order-number", "aria-hidden": "true" }, index + 1),
      ...content,
    );
    return element;
  };

  const buttons = (index, name) => [
    button("↑", () => tryMove(index, index - 1), {
      size: "small",
      label: `Move ${name} up`,
      disabled: index === 0,
    }),
    button("↓", () => tryMove(index, index + 1), {
      size: "small",
      label: `Move ${name} down`,
      disabled: index === items().length - 1,
    }),
  ];

  return { item, buttons };
}
