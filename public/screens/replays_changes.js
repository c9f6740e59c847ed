// The changes of a replay: in words, and the dialogs that make them. Nothing is saved here.

import { h } from "../dom.js";
import { NOTHING } from "../format.js";
import { button } from "../parts/controls.js";
import { changed, formDialog } from "../parts/form.js";
import { callable, comparable } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { ID } from "../parts/patterns.js";
import { conditionsOf, effectOf, ruleName } from "../parts/rules.js";
import { GROUPS } from "../parts/settings.js";
import { editRule } from "./rules_edit.js";

const NEW = "";
const NO_CLASSIFIER = "none";
// Of the group Routing these decide; of the group Outcomes all do.
const DECIDING = ["confidence_threshold", "on_no_fit"];
const SETTINGS = GROUPS.flatMap(([group, settings]) =>
  settings.filter(([name]) => group === "Outcomes" || DECIDING.includes(name)),
);
const LABELS = Object.fromEntries(SETTINGS.map(([name, label]) => [name, label]));

/** Each change as {title, text, without}; `without` is the changes without it. */
export function changesOf(changes) {
  const found = [];
  const without = (name, value) => {
    const rest = { ...changes };
    if (value === undefined || value.length === 0) delete rest[name];
    else rest[name] = value;
    return rest;
  };
  const add = (title, text, rest) => found.push({ title, text, without: rest });
  for (const [index, agent] of (changes.agents ?? []).entries()) {
    const { id, ...fields } = agent;
    const rest = changes.agents.filter((_, at) => at !== index);
    add(`Agent ${id}`, fieldsText(fields), without("agents", rest));
  }
  for (const [index, rule] of (changes.rules ?? []).entries()) {
    const rest = changes.rules.filter((_, at) => at !== index);
    const title = rule.id ? `Rule ${rule.id}` : `New rule${rule.name ? ` ${rule.name}` : ""}`;
    add(title, ruleText(rule), without("rules", rest));
  }
  for (const [name, value] of Object.entries(changes.settings ?? {})) {
    const { [name]: _, ...rest } = changes.settings;
    const settings = Object.keys(rest).length ? rest : undefined;
    add(LABELS[name] ?? name, shown(value), without("settings", settings));
  }
  if ("model" in changes) add("Active model", changes.model, without("model"));
  if ("classifier" in changes)
    add("Classifier", changes.classifier ?? "none", without("classifier"));
  return found;
}

/** All changes in one line. */
export const summaryOf = (changes) =>
  changesOf(changes)
    .map(({ title, text }) => `${title}: ${text}`)
    .join("; ") || NOTHING;

const shown = (value) => (value === null ? "default" : String(value));

function fieldsText(fields) {
  if (fields.enabled === false) return "removed";
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(", ") : shown(value)}`)
    .join("; ");
}

function ruleText({ id, when, then, ...fields }) {
  if (fields.enabled === false) return "removed";
  const parts = [];
  if (when) parts.push(`${conditionsOf(when)} → ${then === undefined ? "…" : effectOf(then)}`);
  else if (then !== undefined) parts.push(`→ ${effectOf(then)}`);
  const { name, ...rest } = fields;
  if (id && name !== undefined) rest.name = name;
  const { enabled, ...others } = rest;
  if (Object.keys(others).length) parts.push(fieldsText(others));
  if (id && enabled) parts.push("enabled");
  return parts.join("; ");
}

/**
 * The buttons that add a change. `known` has agents, rules, models, routers and the settings in force,
 * `changes()` returns the draft, and `save(changes)` replaces it.
 */
export function changeButtons(known, changes, save) {
  const put = (change) => {
    if (!change) return;
    if (!Object.keys(change).length) notice("Nothing is different.");
    else save({ ...changes(), ...change });
  };
  return h(
    "div",
    { class: "row" },
    button("Agent …", async () => put(await agentChange(known, changes()))),
    button("Rule …", async () => put(await ruleChange(known, changes()))),
    button("Settings …", async () => put(await settingsChange(known, changes()))),
    button("Model …", async () => put(await modelChange(known))),
    button("Classifier …", async () => put(await classifierChange(known))),
  );
}

/** Asks which one of `options`; resolves to its id, NEW, or undefined if cancelled. */
const choose = (title, label, options) =>
  formDialog({
    title,
    action: "Continue",
    fields: [{ name: "id", label, type: "select", options }],
    onSubmit: ({ id }) => ({ id: id ?? NEW }),
  });

async function agentChange({ agents }, { agents: earlier = [] }) {
  const options = agents.map((agent) => [agent.id, agent.name]);
  const chosen = await choose("Which agent?", "Agent", [...options, [NEW, "A new agent"]]);
  if (!chosen) return undefined;
  const agent = agents.find((each) => each.id === chosen.id);
  const former = agent && earlier.find((each) => each.id === agent.id);
  const value = agent && { ...agent, ...former };
  const made = await formDialog({
    title: agent ? `Try changes of ${agent.name}` : "Try a new agent",
    action: "Add to replay",
    fields: agentFields(value),
    onSubmit: (values) => {
      const fields = agent ? changed(values, agent) : values;
      return { id: agent?.id, ...fields };
    },
  });
  if (!made) return undefined;
  const others = earlier.filter((each) => each.id !== made.id);
  if (Object.keys(made).length > 1) return { agents: [...others, made] };
  return others.length === earlier.length ? {} : { agents: others };
}

const agentFields = (agent) => [
  ...(agent ? [] : [{ name: "id", label: "ID", required: true, maxlength: 64, ...ID }]),
  { name: "name", label: "Name", required: true, maxlength: 100, value: agent?.name },
  {
    name: "description",
    label: "Description",
    type: "textarea",
    required: true,
    value: agent?.description,
    help: "What a model reads of the agent.",
  },
  { name: "examples", label: "Examples, one per line", type: "lines", value: agent?.examples },
  ...(agent && !agent.default
    ? [{ name: "enabled", label: "Enabled", type: "checkbox", value: agent.enabled }]
    : []),
];

async function ruleChange(known, { rules: earlier = [] }) {
  const options = known.rules.map((rule) => [rule.id, `${rule.position}. ${ruleName(rule)}`]);
  const chosen = known.rules.length
    ? await choose("Which rule?", "Rule", [[NEW, "A new rule"], ...options])
    : { id: NEW };
  if (!chosen) return undefined;
  const rule = known.rules.find((each) => each.id === chosen.id) ?? null;
  const made = await editRule(rule, known, {
    action: "Add to replay",
    save: (fields) => (rule ? { id: rule.id, ...fields } : fields),
  });
  if (!made) return undefined;
  if (rule && Object.keys(made).length === 1) return {};
  const others = earlier.filter((each) => !rule || each.id !== rule.id);
  return { rules: [...others, made] };
}

async function settingsChange({ config }, { settings: earlier = {} }) {
  const before = Object.fromEntries(SETTINGS.map(([name]) => [name, config[name].value]));
  const values = await formDialog({
    title: "Try other settings",
    action: "Add to replay",
    fields: SETTINGS.map(([name, label, spec]) => ({
      ...spec,
      name,
      label,
      value: name in earlier ? earlier[name] : before[name],
    })),
    onSubmit: (all) => changed(all, before),
  });
  if (!values) return undefined;
  return Object.keys(values).length ? { settings: values } : {};
}

const modelChange = ({ models }) =>
  formDialog({
    title: "Try another active model",
    action: "Add to replay",
    fields: [
      {
        name: "model",
        label: "Model",
        type: "select",
        required: true,
        options: [
          [null, "Select …"],
          ...callable(models)
            .filter((model) => !model.active)
            .map((model) => [model.id, model.id]),
        ],
      },
    ],
    onSubmit: ({ model }) => ({ model }),
  });

const classifierChange = ({ models }) =>
  formDialog({
    title: "Try another classifier",
    action: "Add to replay",
    fields: [
      {
        name: "classifier",
        label: "Classifier",
        type: "select",
        required: true,
        options: [
          [null, "Select …"],
          [NO_CLASSIFIER, "None"],
          ...comparable(models)
            .filter((model) => model.type === "classifier" && !model.active)
            .map((model) => [model.id, model.id]),
        ],
      },
    ],
    onSubmit: ({ classifier }) => ({
      classifier: classifier === NO_CLASSIFIER ? null : classifier,
    }),
  });
