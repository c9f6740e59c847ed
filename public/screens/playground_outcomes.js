// Playground, tab Outcomes: a slider for each threshold, over the last logged decisions.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, plural } from "../format.js";
import { actionButton, bars, button } from "../parts/controls.js";
import { OUTCOMES, outcomeName } from "../parts/decision.js";
import { changed, field } from "../parts/form.js";
import { empty, errorPanel, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { DEFAULT_ROUTER, readRouters, routerOptions } from "../parts/routers.js";
import { GROUPS } from "../parts/settings.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";

const PAUSE_MS = 300; // after the last move of a slider
/** The names and field options of settings, as the screen Settings has them. */
const SPECS = new Map(
  GROUPS.flatMap(([, settings]) => settings).map(([name, label, spec]) => [
    name,
    { label, ...spec },
  ]),
);
/** The settings that are tried, in groups. */
const TRIED = [
  ["Decisions", ["confidence_threshold"]],
  [
    "Clarifying questions",
    ["clarify", "clarify_margin", "clarify_min_probability", "clarify_threshold"],
  ],
  ["Several agents", ["several", "several_threshold", "several_min_probability"]],
];
const SWITCHES = ["clarify", "several"];

export async function openOutcomes({ signal, may }, container) {
  const body = h("div", { class: "stack" });
  const show = (router) =>
    load(
      body,
      () =>
        Promise.all([
          api("GET", "/v1/config", { signal }),
          readRouters(signal),
          router === DEFAULT_ROUTER ? {} : api("GET", `/v1/routers/${router}`, { signal }),
        ]),
      ([config, routers, own]) =>
        outcomesView({ settings: inForce(config, own), router, routers, show, signal, may }),
      { signal, keep: true },
    );
  replace(container, body);
  await show(DEFAULT_ROUTER);
}

/** The router's own settings before those of the installation. */
const inForce = (config, own) =>
  Object.fromEntries(
    TRIED.flatMap(([, names]) => names).map((name) => [name, own[name] ?? config[name].value]),
  );

function outcomesView({ settings, router, routers, show, signal, may }) {
  const result = h("div", { class: "stack" });
  const groups = TRIED.map(([title, names]) => [
    title,
    names.map((name) => slider(name, settings)),
  ]);
  const fields = groups.flatMap(([, all]) => all);
  const values = () => Object.fromEntries(fields.map((each) => [each.spec.name, each.value()]));
  const before = values(); // as the sliders show them
  const changes = () => changed(values(), before);
  const path = router === DEFAULT_ROUTER ? "/v1/config" : `/v1/routers/${router}`;
  const save = actionButton(
    "Save as settings",
    async () => {
      await api("PATCH", path, { body: changes() });
      notice("Settings saved.");
      await show(router);
    },
    { kind: "main", disabled: true },
  );
  const reset = button("Reset", () => show(router), { disabled: true });
  const preview = previewer(result, router, signal);
  const update = () => {
    const none = !Object.keys(changes()).length;
    save.disabled = none;
    reset.disabled = none;
    preview(changes());
  };
  for (const each of fields) each.element.addEventListener("input", update);
  preview({}, 0);
  const chosen = field({
    name: "router",
    label: "Router",
    type: "select",
    options: routerOptions(routers, router),
    value: router,
  });
  chosen.element.addEventListener("change", () => show(chosen.value()));
  return h(
    "div",
    { class: "columns" },
    h(
      "form",
      { class: "card form", onsubmit: (event) => event.preventDefault() },
      routers.length > 1 ? chosen.element : null,
      groups.map(([title, all]) =>
        h(
          "fieldset",
          { class: "form" },
          h("legend", {}, title),
          all.map((each) => each.element),
        ),
      ),
      h("div", { class: "form-actions" }, reset, may("admin") ? save : null),
    ),
    h("section", { class: "card", "aria-label": "Preview" }, result),
  );
}

function slider(name, settings) {
  const type = SWITCHES.includes(name) ? "checkbox" : "range";
  const help = type === "checkbox" ? null : SPECS.get(name).help;
  return field({ ...SPECS.get(name), name, type, help, step: 0.01, value: settings[name] });
}

/** A function that shows what the settings would change, some time after its last call. */
function previewer(result, router, signal) {
  let timer = null;
  let request = new AbortController();
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    request.abort();
  });
  const run = async (settings) => {
    request.abort();
    request = new AbortController();
    const current = request;
    result.setAttribute("aria-busy", "true");
    try {
      const body = { settings, router };
      const found = await api("POST", "/v1/outcomes/preview", { body, signal: current.signal });
      if (!current.signal.aborted) replace(result, previewView(found));
    } catch (error) {
      if (error.name === "AbortError") return;
      replace(
        result,
        errorPanel(error, () => run(settings)),
      );
    } finally {
      if (request === current) result.removeAttribute("aria-busy");
    }
  };
  return (settings, pause = PAUSE_MS) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(settings), pause);
  };
}

function previewView(found) {
  if (!found.tested) {
    return empty(
      "No logged decisions yet",
      "Route some queries first. They are logged with the probabilities of the agents.",
    );
  }
  return [
    h(
      "p",
      { role: "status" },
      `${plural(found.changed, "decision")} of ${count(found.tested)} would change.`,
    ),
    found.with_all_agents
      ? null
      : h(
          "p",
          { class: "help" },
          "The model named one agent in each of them, so it is not known whether another is close. Clarifying questions need a classifier or a decision model.",
        ),
    found.unknown
      ? h(
          "p",
          { class: "help" },
          `${plural(found.unknown, "decision")} left out: a model would have to be called again, or the agent is gone.`,
        )
      : null,
    h("h2", {}, "Now"),
    outcomeBars(found.now.outcomes, found.tested),
    h("h2", {}, "With these settings"),
    outcomeBars(found.after.outcomes, found.tested),
    found.labelled ? labelled(found) : null,
    found.examples.length ? examples(found.examples) : null,
  ];
}

const outcomeBars = (outcomes, tested) =>
  bars(
    OUTCOMES.filter(([name]) => outcomes[name]).map(([name, label, kind]) => ({
      name: label,
      value: outcomes[name],
      text: count(outcomes[name]),
      kind,
    })),
    tested,
  );

function labelled({ labelled: total, now, after }) {
  const rows = [
    { name: "Now", ...now.labelled },
    { name: "With these settings", ...after.labelled },
  ];
  return table({
    caption: plural(total, "labeled decision"),
    rows,
    columns: [
      { head: "Settings", heading: true, cell: (row) => row.name },
      { head: "Right", kind: "number", cell: (row) => count(row.right) },
      { head: "Wrong", kind: "number", cell: (row) => count(row.wrong) },
      { head: "Asked", kind: "number", cell: (row) => count(row.asked) },
      {
        head: "Asked about the right agent",
        kind: "number",
        cell: (row) => count(row.asked_right),
      },
    ],
  });
}

const named = ({ outcome, agents }) =>
  `${outcomeName(outcome)}${agents.length ? `: ${agents.join(", ")}` : ""}`;

const examples = (rows) =>
  table({
    caption: rows.length === 1 ? "1 decision that changes" : `${rows.length} decisions that change`,
    rows,
    columns: [
      {
        head: "Query",
        heading: true,
        kind: "wide",
        cell: (one) => h("a", { href: address(["logs", one.log_id]) }, one.query),
      },
      { head: "Now", cell: (one) => named(one.before) },
      { head: "With these settings", cell: (one) => named(one.after) },
      {
        head: "Label",
        cell: (one) => (one.labelled ? (one.label ?? "no agent fits") : NOTHING),
      },
    ],
  });
