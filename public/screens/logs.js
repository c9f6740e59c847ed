// Logs: what was asked and answered, and one decision's whole story.

import { api, everything } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, ms, percent, time, usd, words } from "../format.js";
import { agentName, agentOptions, NO_AGENT, readAgents } from "../parts/agents.js";
import { actionButton, badge, card, facts, link, pageHead } from "../parts/controls.js";
import { alternatives, attemptsTable, classifierFacts, decisionFacts, layerBadge, prompt, timing } from "../parts/decision.js";
import { field } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { pagedTable, table } from "../parts/table.js";
import { address, noteState } from "../router.js";

const LAYERS = ["cache", "classifier", "llm", "fallback", "direct"];
const REASONS = ["low_confidence", "out_of_scope", "invalid_output", "timeout", "upstream_error", "capacity", "rate_limited", "quota", "not_configured"];
const TYPING_MS = 300;

export async function open(page) {
  const [id] = page.path;
  await (id ? one(page, id) : list(page));
}

async function list({ root, query, signal }) {
  const body = h("div", {});
  const filters = h("div", {});
  replace(root, pageHead("Logs", "Every answer, newest first. The whole story is one click away."), filters, body);
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
    q: field({ name: "q", label: "Words in the query", value: query.get("q"), placeholder: "all of them, in any order" }),
    agent: field({ name: "agent", label: "Agent", type: "select", value: query.get("agent"), options: agentOptions(agents, [null, "All"]) }),
    model: field({ name: "model", label: "Model", type: "select", value: query.get("model"), options: [[null, "All"], ...models.filter((model) => model.type !== "classifier").map((model) => [model.adapter ?? model.base_model, model.id])] }),
    layer: field({ name: "layer", label: "Layer", type: "select", value: query.get("layer"), options: [[null, "All"], ...LAYERS.map(option)] }),
    reason: field({ name: "reason", label: "Reason", type: "select", value: query.get("reason"), options: [[null, "All"], ...REASONS.map(option)] }),
    labelled: field({ name: "labelled", label: "Labelled", type: "select", value: query.get("labelled"), options: [[null, "All"], ["true", "Yes"], ["false", "No"]] }),
    kind: field({ name: "kind", label: "Kind", type: "select", value: query.get("kind"), options: [[null, "All"], ["route", "Routing"], ["chat", "Chat"]] }),
    max_confidence: field({ name: "max_confidence", label: "Confidence at most", type: "number", min: 0, max: 1, step: "any", value: query.get("max_confidence") }),
    from: field({ name: "from", label: "From", type: "datetime-local", value: query.get("from") }),
    to: field({ name: "to", label: "To", type: "datetime-local", value: query.get("to") }),
  };
  fields.q.element.classList.add("grow");
  const show = () => {
    const state = Object.fromEntries(Object.entries(fields).map(([name, each]) => [name, each.value()]));
    noteState(["logs"], state);
    const iso = (local) => (local ? new Date(local).toISOString() : null);
    const asked = { ...state, from: iso(state.from), to: iso(state.to), limit: 50 };
    const narrowed = Object.values(state).some((value) => value !== null);
    return load(
      body,
      () => api("GET", "/v1/logs", { query: asked, signal }),
      (page) =>
        page.data.length
          ? pagedTable({ caption: "Answers", first: page, path: "/v1/logs", query: asked, signal, columns: columns(agents) })
          : narrowed
            ? empty("No answer fits these filters", "Take one away, or look at another time.")
            : empty("Nothing has been routed yet", "Answers come here as they are given.", link("Try one query", "#/playground", { size: "" })),
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
  { head: "Query", heading: true, kind: "wide", cell: (log) => h("a", { href: address(["logs", log.id]) }, log.query || "(text not stored)") },
  { head: "Agent", cell: (log) => (log.agent_id === null ? NOTHING : agentName(agents, log.agent_id)) },
  { head: "Confidence", cell: (log) => percent(log.confidence, 0), kind: "number" },
  { head: "By", cell: (log) => [layerBadge(log.layer), log.reason ? h("div", { class: "help" }, words(log.reason)) : null] },
  { head: "Label", cell: (log) => labelOf(log, agents) },
  { head: "Time", cell: (log) => ms(log.latency_ms), kind: "number" },
  { head: "Cost", cell: (log) => usd(log.cost_usd), kind: "number" },
  { head: "When", cell: (log) => time(log.created_at) },
];

function labelOf(log, agents) {
  if (!log.label) return NOTHING;
  const right = log.label.agent_id === log.agent_id || (log.label.agent_id === null && ["out_of_scope", "low_confidence"].includes(log.reason));
  return badge(agentName(agents, log.label.agent_id), right ? "good" : "bad");
}

async function one({ root, signal, may }, id) {
  const body = h("div", { class: "stack" });
  replace(root, pageHead("One answer", null, link("All answers", "#/logs", { size: "small" })), body);
  const show = () =>
    load(
      body,
      () => Promise.all([api("GET", `/v1/logs/${encodeURIComponent(id)}`, { signal }), readAgents(signal)]),
      ([log, agents]) => story(log, agents, may, show),
      { signal, keep: true },
    );
  await show();
}

function story(log, agents, may, show) {
  return [
    h(
      "section",
      { class: "card stack" },
      h("p", { class: "label-query" }, log.query || "(the text was not stored)"),
      h("div", { class: "row" }, h("strong", {}, log.agent_id === null ? "No answer" : agentName(agents, log.agent_id)), badge(String(log.status), log.status === 200 ? "good" : "bad"), log.ending === "complete" ? null : badge(words(log.ending), "warn"), may("route") && log.query ? link("Ask again in the playground", address(["playground"], { q: log.query }), { size: "small" }) : null),
      decisionFacts(log),
      alternatives(log),
      classifierFacts(log),
    ),
    h(
      "div",
      { class: "columns" },
      card("Where the time went", timing(log)),
      card("Label and feedback", h("div", { class: "stack" }, labelEditor(log, agents, may, show), feedback(log, agents), history(log, agents))),
    ),
    card("Attempts", attemptsTable(log.attempts)),
    log.messages ? h("details", { class: "card" }, h("summary", {}, "The prompt"), h("div", { class: "stack" }, prompt(log.messages))) : h("p", { class: "help" }, "The prompt cannot be shown: the agents or the prompt have changed since, the text was not stored, or nothing was decided."),
    card(
      "Asked by",
      facts([
        ["When", time(log.created_at)],
        ["Kind", log.kind],
        ["Key or user", log.key_id],
        ["User", log.user],
        ["Session", log.session],
        ["Candidates", log.candidates?.join(", ")],
        ["Threshold", percent(log.threshold)],
        ["Request", h("span", { class: "code" }, log.request_id)],
        ["Trace", log.trace_id ? h("span", { class: "code" }, log.trace_id) : null],
        ["Prompt version", log.prompt_version],
        ["Agents' revision", h("span", { class: "code" }, log.agents_revision)],
      ]),
      log.metadata ? h("pre", { tabindex: "0" }, JSON.stringify(log.metadata, null, 2)) : null,
    ),
    h("details", { class: "card" }, h("summary", {}, "The whole record"), h("pre", { tabindex: "0" }, JSON.stringify(log, null, 2))),
  ];
}

function labelEditor(log, agents, may, show) {
  const now = log.label;
  const text = now ? h("p", {}, "The right agent is ", h("strong", {}, agentName(agents, now.agent_id)), h("span", { class: "help" }, `, says ${now.labeler}, ${time(now.created_at)}`)) : h("p", { class: "soft" }, "Not labelled yet.");
  if (!may("label") || !log.query_hash) return text;
  const choice = field({ name: "agent_id", label: "The right agent", type: "select", value: now ? (now.agent_id ?? NO_AGENT) : log.agent_id, options: agentOptions(agents.filter((agent) => agent.enabled), [NO_AGENT, "No agent fits"]) });
  const path = `/v1/logs/${log.id}/label`;
  const write = async (act) => {
    await act();
    notice("The label is saved.");
    await show();
  };
  return [
    text,
    choice.element,
    h(
      "div",
      { class: "row" },
      actionButton("Save the label", () => write(() => api("PUT", path, { body: { agent_id: choice.value() === NO_AGENT ? null : choice.value() } })), { kind: "main", size: "small" }),
      now ? actionButton("Take it away", () => write(() => api("DELETE", path)), { size: "small" }) : null,
    ),
  ];
}

function feedback({ feedback: given }, agents) {
  if (!given.length) return h("p", { class: "soft" }, "No feedback.");
  return h("ul", { class: "checklist" }, given.map((one) => h("li", {}, badge(one.value, one.value === "up" ? "good" : "bad"), h("span", {}, one.correct_agent ? `should be ${agentName(agents, one.correct_agent)} ` : "", one.comment ?? ""))));
}

function history({ label_history: changes }, agents) {
  if (changes.length < 2) return null;
  return h(
    "details",
    {},
    h("summary", {}, `${changes.length} entries in the label's history`),
    table({
      caption: "History of the label",
      hideCaption: true,
      rows: changes,
      columns: [
        { head: "When", cell: (one) => time(one.created_at), heading: true },
        { head: "Agent", cell: (one) => (one.removed ? "taken away" : agentName(agents, one.agent_id)) },
        { head: "By", cell: (one) => one.labeler },
        { head: "Note", cell: (one) => one.note ?? NOTHING, kind: "wide" },
      ],
    }),
  );
}
