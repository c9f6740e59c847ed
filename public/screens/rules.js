// Rules: an ordered list, tried before all other stages. The order is changed by dragging or by keyboard.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { readAgents } from "../parts/agents.js";
import { badge, button, pageHead, showError } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { editRule } from "./rules_edit.js";

const PATH = "/v1/rules";

export async function open({ root, signal, may }) {
  const body = h("div", {});
  const head = h("div", {});
  let known = { agents: [], models: [] };
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
        const [rules, agents, models] = await Promise.all([
          api("GET", PATH, { signal }),
          readAgents(signal),
          readModels(signal),
        ]);
        known = { agents, models };
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
  let dragged = null;
  const list = h("ol", { class: "order", "aria-label": "Rules in order" });
  const move = async (from, to) => {
    if (to < 0 || to >= rules.length || from === to) return;
    try {
      await api("PATCH", `${PATH}/${rules[from].id}`, { body: { position: to + 1 } });
    } catch (error) {
      showError(error);
      return;
    }
    notice(`${nameOf(rules[from])} moved to position ${to + 1} of ${rules.length}.`);
    await show();
    document.querySelector(`[data-rule="${rules[from].id}"]`)?.focus();
  };
  const item = (rule, index) => {
    const name = nameOf(rule);
    const element = h(
      "li",
      {
        class: "order-item",
        "data-rule": rule.id,
        tabindex: admin ? "0" : null,
        draggable: admin ? "true" : null,
        "aria-label": `${index + 1}. ${name}.${admin ? " Move with the arrow keys." : ""}`,
        onkeydown: (event) => {
          const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
          if (!step || event.target !== element || !admin) return;
          event.preventDefault();
          move(index, index + step);
        },
        ondragstart: (event) => {
          dragged = index;
          event.dataTransfer.setData("text/plain", rule.id); // browsers do not drag without data
          event.dataTransfer.effectAllowed = "move";
        },
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => {
          event.preventDefault();
          if (dragged !== null) move(dragged, index); // null: something else was dropped
          dragged = null;
        },
      },
      h("span", { class: "order-number", "aria-hidden": "true" }, index + 1),
      h(
        "div",
        { class: "stack-small wrap" },
        h(
          "div",
          { class: "row" },
          h("strong", {}, name),
          rule.enabled ? null : badge("disabled", "warn"),
        ),
        h("span", {}, conditionsOf(rule), " → ", effectOf(rule)),
      ),
      admin ? actions(rule, index, name) : null,
    );
    return element;
  };
  const actions = (rule, index, name) =>
    h(
      "span",
      { class: "row" },
      button("↑", () => move(index, index - 1), {
        size: "small",
        label: `Move ${name} up`,
        disabled: index === 0,
      }),
      button("↓", () => move(index, index + 1), {
        size: "small",
        label: `Move ${name} down`,
        disabled: index === rules.length - 1,
      }),
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

const nameOf = (rule) => rule.name ?? rule.id;

function conditionsOf({ when }) {
  const parts = [
    when.mention ? "@agent" : null,
    when.words ? `words: ${when.words.join(", ")}` : null,
    when.pattern ? `expression: ${when.pattern}` : null,
    ...Object.entries(when.metadata ?? {}).map(([key, value]) => `${key} = ${value}`),
    when.key_id ? `key ${when.key_id}` : null,
    when.user ? `user ${when.user}` : null,
  ].filter(Boolean);
  return parts.length ? parts.join("; ") : "every message";
}

function effectOf({ then }) {
  if (then === null) return "the mentioned agent";
  if (then.agent_id) return then.agent_id;
  if (then.never) return `never ${then.never.join(", ")}`;
  return then.prefer ? `prefer ${then.prefer}` : `model ${then.model}`;
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
