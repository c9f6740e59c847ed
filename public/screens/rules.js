// Rules: an ordered list, tried before all other stages. The order is changed by dragging or by keyboard.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { readAgents } from "../parts/agents.js";
import { badge, button, pageHead, showError } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { ordering } from "../parts/order.js";
import { readRouters } from "../parts/routers.js";
import { conditionsOf, effectOf, ruleName } from "../parts/rules.js";
import { editRule } from "./rules_edit.js";

const PATH = "/v1/rules";

export async function open({ root, signal, may }) {
  const body = h("div", {});
  const head = h("div", {});
  let known = { agents: [], models: [], routers: [] };
  const edit = async (rule) => {
    const saved = await editRule(rule, known);
    if (!saved) return;
    notice(`Rule ${saved.position} saved.`);
    await show();
  };
  const add = () => button("Add rule", () => edit(null), { kind: "main" });
  const show = () =>
    load(
      body,
      async () => {
        const [rules, agents, models, routers] = await Promise.all([
          api("GET", PATH, { signal }),
          readAgents(signal),
          readModels(signal),
          readRouters(signal),
        ]);
        known = { agents, models, routers };
        return rules.data;
      },
      (rules) => {
        replace(
          head,
          pageHead(
            "Rules",
            "Tried in this order, before labels, caches, the classifier and models. The first rule that names an agent or a model ends the list.",
            may("admin") && rules.length ? add() : null,
          ),
        );
        return rules.length ? ruleList(rules, { may, show, edit }) : none(may("admin") && add());
      },
      { signal, keep: true },
    );
  replace(head, pageHead("Rules"));
  replace(root, head, body);
  await show();
}

const none = (action) =>
  empty(
    "No rules yet",
    "A rule routes a message by a mention, words, a regular expression, metadata, key or user.",
    action || null,
  );

function ruleList(rules, { may, show, edit }) {
  const admin = may("admin");
  const list = h("ol", { class: "order", "aria-label": "Rules in order" });
  const move = async (from, to) => {
    try {
      await api("PATCH", `${PATH}/${rules[from].id}`, { body: { position: to + 1 } });
    } catch (error) {
      showError(error);
      return;
    }
    notice(`${ruleName(rules[from])} moved to position ${to + 1} of ${rules.length}.`);
    await show();
    document.querySelector(`[data-rule="${rules[from].id}"]`)?.focus();
  };
  const order = ordering({ items: () => rules, movable: admin, move });
  const item = (rule, index) => {
    const name = ruleName(rule);
    return order.item(
      index,
      {
        key: rule.id,
        label: `${index + 1}. ${name}.${admin ? " Move with the arrow keys." : ""}`,
        "data-rule": rule.id,
      },
      h(
        "div",
        { class: "stack-small wrap" },
        h(
          "div",
          { class: "row" },
          h("strong", {}, name),
          rule.enabled ? null : badge("disabled", "warn"),
          rule.router ? badge(`router ${rule.router}`) : null,
        ),
        h("span", {}, conditionsOf(rule.when), " → ", effectOf(rule.then)),
      ),
      admin ? actions(rule, index, name) : null,
    );
  };
  const actions = (rule, index, name) =>
    h(
      "span",
      { class: "row" },
      order.buttons(index, name),
      button("Edit", () => edit(rule), { size: "small", label: `Edit ${name}` }),
      button("Delete", () => remove(rule, name, show), {
        size: "small",
        kind: "plain",
        label: `Delete ${name}`,
      }),
    );
  replace(list, rules.map(item));
  return list;
}

async function remove(rule, name, show) {
  const done = await confirm({
    title: `Delete ${name}?`,
    body: h("p", {}, "It no longer holds, from the next request on."),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `${PATH}/${rule.id}`),
  });
  if (!done) return;
  notice(`${name} deleted.`);
  await show();
}
