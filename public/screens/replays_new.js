// A new replay: the changes, the logged queries, and what they are compared with.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { instant, localTime } from "../format.js";
import { agentOptions, readAgents } from "../parts/agents.js";
import { button, card, link, pageHead } from "../parts/controls.js";
import { form } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { readRouters, routerOptions } from "../parts/routers.js";
import { go } from "../router.js";
import { changeButtons, changesOf } from "./replays_changes.js";

const DAY_MS = 86_400_000;

/** `query` may have a setting to try, as the screen with the thresholds does. */
export async function newReplay({ root, signal, query }) {
  const body = h("div", { class: "stack" });
  replace(
    root,
    pageHead(
      "New replay",
      "Nothing is changed until you apply the changes of a finished replay.",
      link("All replays", "#/replays", { size: "small" }),
    ),
    body,
  );
  await load(
    body,
    () => readKnown(signal),
    (known) => view(known, query),
    { signal },
  );
}

async function readKnown(signal) {
  const [agents, rules, models, routers, config] = await Promise.all([
    readAgents(signal),
    api("GET", "/v1/rules", { signal }),
    readModels(signal),
    readRouters(signal),
    api("GET", "/v1/config", { signal }),
  ]);
  return { agents, rules: rules.data, models, routers, config };
}

/** A margin counts only while clarifying questions are on. */
function changesFrom(query, { config }) {
  const [name, value] = [query.get("setting"), Number(query.get("value"))];
  if (!Object.hasOwn(config, name ?? "") || query.get("value") === null) return {};
  const on = name === "clarify_margin" && !config.clarify.value ? { clarify: true } : {};
  return { settings: { ...on, [name]: value } };
}

function view(known, query) {
  let changes = {};
  const list = h("div", { "aria-live": "polite" });
  const save = (made) => {
    changes = made;
    replace(list, changeList(changesOf(changes), save));
  };
  save(changesFrom(query, known));
  return [
    card(
      "Changes to try",
      list,
      changeButtons(known, () => changes, save),
    ),
    card(
      "Logged queries",
      form({
        fields: fieldsOf(known),
        action: "Start replay",
        async onSubmit(values, idempotencyKey) {
          const body = { ...bodyOf(values), changes };
          const made = await api("POST", "/v1/replays", { body, idempotencyKey });
          go(["replays", made.id]);
        },
      }),
    ),
  ];
}

function changeList(all, save) {
  if (!all.length) return h("p", { class: "muted" }, "None yet.");
  return h(
    "ul",
    { class: "changes", "aria-label": "Changes to try" },
    all.map(({ title, text, without }) =>
      h(
        "li",
        { class: "spread" },
        h("span", { class: "wrap" }, h("strong", {}, title), `: ${text}`),
        button("Remove", () => save(without), {
          size: "small",
          kind: "plain",
          label: `Remove ${title}`,
        }),
      ),
    ),
  );
}

const fieldsOf = ({ agents, routers }) => [
  {
    name: "from",
    label: "From",
    type: "datetime-local",
    required: true,
    value: localTime(Date.now() - 7 * DAY_MS),
  },
  { name: "to", label: "To", type: "datetime-local", help: "Empty: until now." },
  {
    name: "sample",
    label: "Sample size",
    type: "number",
    min: 1,
    max: 5000,
    required: true,
    value: 1000,
    help: "Drawn at random; the same queries each time.",
  },
  {
    name: "agent",
    param: "filter.agent",
    label: "Routed to",
    type: "select",
    options: agentOptions(agents, [null, "Any agent"]),
  },
  {
    name: "labelled",
    param: "filter.labelled",
    label: "Labels",
    type: "select",
    options: [
      [null, "With and without labels"],
      ["yes", "Labeled queries only"],
      ["no", "Unlabeled queries only"],
    ],
  },
  ...(routers.length > 1
    ? [
        {
          name: "router",
          param: "filter.router",
          label: "Router",
          type: "select",
          options: routerOptions(routers, null, [null, "All routers"]),
        },
      ]
    : []),
  {
    name: "baseline",
    label: "Compare with",
    type: "select",
    value: "logged",
    options: [
      ["logged", "The logged decisions (no cost)"],
      ["current", "The current configuration, decided again"],
    ],
    help: "Decide again if the configuration has changed in this time.",
  },
  {
    name: "max_cost_usd",
    label: "Max cost (USD)",
    type: "number",
    min: 0,
    step: "any",
    help: "Models are called only for what is neither in the log nor in the cache. 0: only what is free. Empty: no limit.",
  },
];

function bodyOf({ from, to, sample, baseline, max_cost_usd: most, ...wanted }) {
  const labelled = { yes: true, no: false }[wanted.labelled];
  const filter = Object.fromEntries(
    Object.entries({ ...wanted, labelled }).filter(
      ([, value]) => value !== null && value !== undefined,
    ),
  );
  return {
    from: instant(from),
    ...(to === null ? {} : { to: instant(to) }),
    sample,
    baseline,
    ...(most === null ? {} : { max_cost_usd: most }),
    ...(Object.keys(filter).length ? { filter } : {}),
  };
}
