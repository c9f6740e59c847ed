// Logs: what was asked and answered, and one decision's whole story.

import { api, everything } from "../api.js";
import { h, replace } from "../dom.js";
import { ms, NOTHING, percent, time, usd, words } from "../format.js";
import { agentName, agentOptions, readAgents } from "../parts/agents.js";
import { badge, link, pageHead } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { field } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { pagedTable } from "../parts/table.js";
import { address, noteState } from "../router.js";
import { one } from "./logs_one.js";

const LAYERS = ["cache", "classifier", "llm", "fallback", "direct"];

const REASONS = [
  "low_confidence",
  "out_of_scope",
  "invalid_output",
  "timeout",
  "upstream_error",
  "capacity",
  "rate_limited",
  "quota",
  "not_configured",
];

const TYPING_MS = 300;

export async function open(page) {
  const [id] = page.path;
  await (id ? one(page, id) : list(page));
}

async function list({ root, query, signal }) {
  const body = h("div", {});
  const filters = h("div", {});
  replace(
    root,
    pageHead("Logs", "Every answer, newest first. The whole story is one click away."),
    filters,
    body,
  );
  await load(
    filters,
    () => Promise.all([readAgents(signal), everything("/v1/models", { signal })]),
    ([agents, models]) => filterForm(agents, models, query, body, signal),
    { signal },
  );
}

function filterForm(agents, models, query, body, signal) {
  const option = (name) => [name, words(name)];
  const fields = {
    q: field({
      name: "q",
      label: "Words in the query",
      value: query.get("q"),
      placeholder: "all of them, in any order",
    }),
    agent: field({
      name: "agent",
      label: "Agent",
      type: "select",
      value: query.get("agent"),
      options: agentOptions(agents, [null, "All"]),
    }),
    model: field({
      name: "model",
      label: "Model",
      type: "select",
      value: query.get("model"),
      options: [
        [null, "All"],
        ...models
          .filter((model) => model.type !== "classifier")
          .map((model) => [model.adapter ?? model.base_model, model.id]),
      ],
    }),
    layer: field({
      name: "layer",
      label: "Layer",
      type: "select",
      value: query.get("layer"),
      options: [[null, "All"], ...LAYERS.map(option)],
    }),
    reason: field({
      name: "reason",
      label: "Reason",
      type: "select",
      value: query.get("reason"),
      options: [[null, "All"], ...REASONS.map(option)],
    }),
    labelled: field({
      name: "labelled",
      label: "Labelled",
      type: "select",
      value: query.get("labelled"),
      options: [
        [null, "All"],
        ["true", "Yes"],
        ["false", "No"],
      ],
    }),
    kind: field({
      name: "kind",
      label: "Kind",
      type: "select",
      value: query.get("kind"),
      options: [
        [null, "All"],
        ["route", "Routing"],
        ["chat", "Chat"],
      ],
    }),
    max_confidence: field({
      name: "max_confidence",
      label: "Confidence at most",
      type: "number",
      min: 0,
      max: 1,
      step: "any",
      value: query.get("max_confidence"),
    }),
    from: field({ name: "from", label: "From", type: "datetime-local", value: query.get("from") }),
    to: field({ name: "to", label: "To", type: "datetime-local", value: query.get("to") }),
  };
  fields.q.element.classList.add("grow");
  const show = () => {
    const state = Object.fromEntries(
      Object.entries(fields).map(([name, each]) => [name, each.value()]),
    );
    noteState(["logs"], state);
    const iso = (local) => (local ? new Date(local).toISOString() : null);
    const asked = { ...state, from: iso(state.from), to: iso(state.to), limit: 50 };
    const narrowed = Object.values(state).some((value) => value !== null);
    return load(
      body,
      () => api("GET", "/v1/logs", { query: asked, signal }),
      (page) =>
        page.data.length
          ? pagedTable({
              caption: "Answers",
              first: page,
              path: "/v1/logs",
              query: asked,
              signal,
              columns: columns(agents),
            })
          : narrowed
            ? empty("No answer fits these filters", "Take one away, or look at another time.")
            : empty(
                "Nothing has been routed yet",
                "Answers come here as they are given.",
                link("Try one query", "#/playground", { size: "" }),
              ),
      { signal, keep: true },
    );
  };
  let typing;
  const form = h(
    "form",
    {
      class: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        show();
      },
      onchange: show,
      oninput: (event) => {
        clearTimeout(typing);
        if (event.target.name === "q") typing = setTimeout(show, TYPING_MS);
      },
    },
    Object.values(fields).map((each) => each.element),
  );
  show();
  return form;
}

const columns = (agents) => [
  {
    head: "Query",
    heading: true,
    kind: "wide",
    cell: (log) => h("a", { href: address(["logs", log.id]) }, log.query || "(text not stored)"),
  },
  {
    head: "Agent",
    cell: (log) => (log.agent_id === null ? NOTHING : agentName(agents, log.agent_id)),
  },
  { head: "Confidence", cell: (log) => percent(log.confidence, 0), kind: "number" },
  {
    head: "By",
    cell: (log) => [
      layerBadge(log.layer),
      log.reason ? h("div", { class: "help" }, words(log.reason)) : null,
    ],
  },
  { head: "Label", cell: (log) => labelOf(log, agents) },
  { head: "Time", cell: (log) => ms(log.latency_ms), kind: "number" },
  { head: "Cost", cell: (log) => usd(log.cost_usd), kind: "number" },
  { head: "When", cell: (log) => time(log.created_at) },
];

function labelOf(log, agents) {
  if (!log.label) return NOTHING;
  const right =
    log.label.agent_id === log.agent_id ||
    (log.label.agent_id === null && ["out_of_scope", "low_confidence"].includes(log.reason));
  return badge(agentName(agents, log.label.agent_id), right ? "good" : "bad");
}
