// Fallback models: their order can be changed by dragging or by keyboard.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { actionButton, button } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { callable, readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { ordering } from "../parts/order.js";
import { watchInput } from "../parts/unsaved.js";

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
  const move = (from, to, dragged) => {
    const [moved] = order.splice(from, 1);
    order.splice(to, 0, moved);
    draw(dragged ? null : to);
    notice(`${moved} moved to position ${to + 1} of ${order.length}.`);
  };
  const { item: ordered, buttons } = ordering({ items: () => order, movable: may("admin"), move });
  const draw = (focused = null) => {
    replace(
      list,
      order.map((id, index) => item(id, index)),
    );
    replace(container, may("admin") ? controls() : null);
    none.hidden = order.length > 0;
    if (focused !== null) list.children[focused]?.focus();
  };
  const item = (id, index) =>
    ordered(
      index,
      { key: id, label: `${index + 1}. ${id}. Move with the arrow keys.` },
      h("span", { class: "wrap" }, id),
      may("admin")
        ? h(
            "span",
            { class: "row" },
            buttons(index, id),
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
  watchInput(list, () => order);
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
