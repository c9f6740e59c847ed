// Fallback models: their order can be changed by dragging or by keyboard.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { actionButton, button } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { callable, readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";

export async function fallbackTab({ signal, may }, container) {
  const show = () =>
    load(
      container,
      () => Promise.all([readModels(signal), api("GET", "/v1/models/select", { signal })]),
      ([models, selection]) => orderEditor(models, selection, { may, show }),
      { signal },
    );
  await show();
}

function orderEditor(models, selection, { may, show }) {
  const order = [...selection.fallbacks];
  const list = h("ol", { class: "order", "aria-label": "Fallback models in order" });
  const container = h("div", {});
  const none = h(
    "p",
    { class: "muted" },
    "No fallback models: if the active model fails, the fallback agent is used.",
  );
  let dragged = null;
  const move = (from, to, focus = true) => {
    if (to < 0 || to >= order.length || from === to) return;
    const [moved] = order.splice(from, 1);
    order.splice(to, 0, moved);
    draw(focus ? to : null);
    notice(`${moved} moved to position ${to + 1} of ${order.length}.`);
  };
  const draw = (focused = null) => {
    replace(
      list,
      order.map((id, index) => item(id, index)),
    );
    replace(container, may("admin") ? controls() : null);
    none.hidden = order.length > 0;
    if (focused !== null) list.children[focused]?.focus();
  };
  const item = (id, index) => {
    const element = h(
      "li",
      {
        class: "order-item",
        tabindex: may("admin") ? "0" : null,
        draggable: may("admin") ? "true" : null,
        "aria-label": `${index + 1}. ${id}. Move with the arrow keys.`,
        onkeydown: (event) => {
          const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
          if (!step || event.target !== element || !may("admin")) return;
          event.preventDefault();
          move(index, index + step);
        },
        ondragstart: (event) => {
          dragged = index;
          event.dataTransfer.setData("text/plain", id); // browsers do not drag without data
          event.dataTransfer.effectAllowed = "move";
        },
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => {
          event.preventDefault();
          if (dragged !== null) move(dragged, index, false); // null: something else was dropped
          dragged = null;
        },
      },
      h("span", { class: "order-number", "aria-hidden": "true" }, index + 1),
      h("span", { class: "wrap" }, id),
      may("admin")
        ? h(
            "span",
            { class: "row" },
            button("↑", () => move(index, index - 1), {
              size: "small",
              label: `Move ${id} up`,
              disabled: index === 0,
            }),
            button("↓", () => move(index, index + 1), {
              size: "small",
              label: `Move ${id} down`,
              disabled: index === order.length - 1,
            }),
            button(
              "Remove",
              () => {
                order.splice(index, 1);
                draw(Math.min(index, order.length - 1));
              },
              { size: "small", kind: "plain", label: `Remove ${id}` },
            ),
          )
        : null,
    );
    return element;
  };
  const controls = () => {
    const others = callable(models).filter(
      (model) => model.id !== selection.active && !order.includes(model.id),
    );
    const added = field({
      name: "add",
      label: "Add a model",
      type: "select",
      options: [[null, "Select …"], ...others.map((model) => [model.id, model.id])],
    });
    added.element.addEventListener("change", () => {
      if (!added.value()) return;
      order.push(added.value());
      draw();
    });
    const changed = order.join("\n") !== selection.fallbacks.join("\n");
    return h(
      "div",
      { class: "stack" },
      added.element,
      h(
        "div",
        { class: "row" },
        actionButton(
          "Save order",
          async () => {
            await api("PATCH", "/v1/config", { body: { fallback_models: order } });
            notice("Order saved.");
            await show();
          },
          { kind: "main", disabled: !changed },
        ),
        changed ? button("Discard changes", show) : null,
      ),
    );
  };
  draw();
  return [
    h(
      "p",
      {},
      `If ${selection.active} fails, these models are called in this order, within the routing timeout.`,
    ),
    none,
    list,
    container,
  ];
}
