// The form of a rule, with the test against the last logged queries.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, plural } from "../format.js";
import { agentOptions } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { badge, button, facts } from "../parts/controls.js";
import { changed, fieldOf, formDialog, read } from "../parts/form.js";
import { errorPanel } from "../parts/loading.js";
import { callable } from "../parts/models.js";
import { routerOptions } from "../parts/routers.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";

const PATH = "/v1/rules";
const MENTIONED = "mentioned";
const EFFECTS = [
  ["agent_id", "Route to this agent"],
  ["never", "Never route to these agents"],
  ["prefer", "Prefer this agent to the fallback agent"],
  ["model", "Route with this model"],
  [MENTIONED, "Route to the agent that is mentioned as @agent"],
];
/** The field that each effect needs. */
const FIELDS = { agent_id: "agent", never: "agents", prefer: "agent", model: "model" };

/**
 * Resolves to the saved rule, or undefined if cancelled. `rule` null: a new one. `save(fields, rule)`
 * gets the fields that differ, all of a new one; by default it stores them.
 */
export function editRule(rule, known, { action = "Save", save = store } = {}) {
  const before = rule && { ...rule, when: whenOf(valuesOf(rule)) };
  return formDialog({
    title: rule ? `Edit ${rule.name ?? rule.id}` : "Add rule",
    action,
    fields: fieldsOf(rule, known),
    after: (fields) => [effectFields(fields), testPanel(fields, rule)],
    onSubmit: (values, idempotencyKey) => {
      const body = bodyOf(values);
      return save(rule ? changed(body, before) : body, rule, idempotencyKey);
    },
  });
}

const store = (body, rule, idempotencyKey) =>
  rule ? api("PATCH", `${PATH}/${rule.id}`, { body }) : api("POST", PATH, { body, idempotencyKey });

function fieldsOf(rule, { agents, models, routers }) {
  const values = valuesOf(rule);
  const named = rule?.then?.agent_id ?? rule?.then?.prefer ?? null;
  const missing = named && !agents.some((agent) => agent.id === named) ? [[named, named]] : [];
  const gone = (values.agents ?? []).filter((id) => !agents.some((agent) => agent.id === id));
  const chosen = values.model;
  const others = callable(models).map((model) => [model.id, model.id]);
  const absent = chosen && !others.some(([id]) => id === chosen) ? [[chosen, chosen]] : [];
  return [
    { name: "name", label: "Name", maxlength: 100, value: values.name },
    {
      name: "words",
      param: "when.words",
      label: "Words or phrases, one per line",
      type: "lines",
      rows: 3,
      value: values.words,
      help: "The message has at least one of them, as whole words. All conditions below must hold too; empty ones do not count.",
    },
    {
      name: "pattern",
      param: "when.pattern",
      label: "Regular expression",
      maxlength: 200,
      value: values.pattern,
      placeholder: "order #?\\d{4,}",
      help: "Is found in the message. Case does not count; no look-ahead and no back-references.",
    },
    {
      name: "metadata",
      param: "when.metadata",
      label: "Metadata, one per line",
      type: "lines",
      rows: 2,
      value: values.metadata,
      placeholder: "plan = pro",
      help: 'The request has these values. true, false and numbers are no texts; write "1" for the text.',
    },
    { name: "key_id", param: "when.key_id", label: "Key ID", maxlength: 128, value: values.key_id },
    {
      name: "user",
      param: "when.user",
      label: "User",
      maxlength: 200,
      value: values.user,
      help: "The request's user, as an opaque ID.",
    },
    { name: "effect", label: "Effect", type: "select", value: values.effect, options: EFFECTS },
    {
      name: "agent",
      param: "then",
      label: "Agent",
      type: "select",
      value: named,
      required: true,
      options: agentOptions(agents, [null, "Select …"], ...missing),
    },
    {
      name: "agents",
      param: "then.never",
      label: "Excluded agents",
      type: "checks",
      value: values.agents,
      required: true,
      options: [...agentOptions(agents), ...gone.map((id) => [id, id])],
    },
    {
      name: "model",
      param: "then.model",
      label: "Model",
      type: "select",
      value: chosen,
      required: true,
      options: [[null, "Select …"], ...absent, ...others],
    },
    {
      name: "router",
      label: "Router",
      type: "select",
      value: values.router,
      options: routerOptions(routers, values.router, [null, "All routers"]),
    },
    { name: "enabled", label: "Enabled", type: "checkbox", value: values.enabled },
  ];
}

/** The values of the fields for a rule. */
function valuesOf(rule) {
  const { when = {}, then, name = null, enabled = true, router = null } = rule ?? {};
  return {
    name,
    enabled,
    router,
    words: when.words ?? [],
    pattern: when.pattern ?? null,
    metadata: Object.entries(when.metadata ?? {}).map(([key, value]) => `${key} = ${shown(value)}`),
    key_id: when.key_id ?? null,
    user: when.user ?? null,
    effect: rule === null ? "agent_id" : effectName(then),
    agents: then?.never ?? [],
    model: then?.model ?? null,
  };
}

const effectName = (then) => (then === null ? MENTIONED : Object.keys(then)[0]);

function bodyOf(values) {
  const { name, enabled, effect, router } = values;
  const then = effect === MENTIONED ? null : { [effect]: values[FIELDS[effect]] };
  return { name, enabled, router, when: whenOf(values), then };
}

function whenOf({ effect, words, pattern, metadata, key_id, user }) {
  const entries = metadata.map((line) => {
    const [, key, value] = line.match(/^([^=]*?)\s*=\s*(.*)$/) ?? [null, line, ""];
    return [key, typed(value)];
  });
  const all = {
    mention: effect === MENTIONED || null,
    words: words.length ? words : null,
    pattern,
    metadata: entries.length ? Object.fromEntries(entries) : null,
    key_id,
    user,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

/** A value of metadata as it is typed: JSON if it is a text in quotes, a number or a boolean. */
function typed(text) {
  try {
    const value = JSON.parse(text);
    return ["string", "number", "boolean"].includes(typeof value) ? value : text;
  } catch {
    return text;
  }
}

const shown = (value) =>
  typeof value === "string" && typed(value) === value ? value : JSON.stringify(value);

/** Shows only the field that the effect needs. */
function effectFields(fields) {
  const byName = Object.fromEntries(fields.map((each) => [each.spec.name, each]));
  const update = () => {
    const needed = FIELDS[byName.effect.value()];
    for (const name of ["agent", "agents", "model"]) byName[name].element.hidden = name !== needed;
  };
  byName.effect.element.addEventListener("change", update);
  update();
  return null;
}

function testPanel(fields, rule) {
  const result = h("div", { "aria-live": "polite" });
  const test = button("Test against the last 1,000 queries", async () => {
    replace(result);
    setBusy(test, true);
    try {
      const { enabled: _, ...body } = bodyOf(read(fields));
      const place = rule ? { position: rule.position, replaces: rule.id } : {};
      const found = await api("POST", `${PATH}/test`, { body: { ...body, ...place } });
      replace(result, testResult(found));
    } catch (error) {
      if (error.name === "AbortError") return;
      const invalid = fieldOf(fields, error);
      if (invalid) {
        invalid.show(error.message);
        invalid.focus();
      } else replace(result, errorPanel(error));
    } finally {
      setBusy(test, false);
    }
  });
  return h("div", { class: "stack" }, h("div", { class: "row" }, test), result);
}

function testResult(found) {
  return h(
    "div",
    { class: "stack" },
    found.warning ? h("p", {}, badge("warning", "warn"), " ", found.warning) : null,
    facts([
      ["Tested queries", count(found.tested)],
      ["The rule holds for", count(found.matched)],
      ["Decisions that change", count(found.changed)],
      ["Of these, decided by later stages", count(found.undecided)],
    ]),
    found.complete
      ? null
      : h("p", { class: "help" }, "The test ended early, because it took too much work."),
    found.tested ? null : h("p", { class: "help" }, "No routed query with its text is logged."),
    found.examples.length
      ? table({
          caption: plural(found.examples.length, "example"),
          rows: found.examples,
          columns: [
            {
              head: "Query",
              heading: true,
              kind: "wide",
              cell: (one) => h("a", { href: address(["logs", one.log_id]) }, one.query),
            },
            { head: "Before", cell: (one) => one.agent_before ?? NOTHING },
            { head: "After", cell: (one) => one.agent_after ?? "later stages" },
          ],
        })
      : null,
  );
}
