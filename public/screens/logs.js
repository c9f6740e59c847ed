// Logs: the list of requests, and the trace of one request.

import { h, replace } from "../dom.js";
import { count, instant, ms, NOTHING, percent, plural, usd, words } from "../format.js";
import { agentName, agentOptions, NO_AGENT, OUT_OF_SCOPE, readAgents } from "../parts/agents.js";
import { contextLine } from "../parts/context.js";
import { actionButton, badge, link, pageHead, save } from "../parts/controls.js";
import { deadLetters } from "../parts/dead_letters.js";
import { layerBadge, layerName, OUTCOMES, outcomeBadge } from "../parts/decision.js";
import { exportLogs, MAX_EXPORTED } from "../parts/export_logs.js";
import { choices, filters } from "../parts/filters.js";
import { LAYERS } from "../parts/layers.js";
import { empty, load } from "../parts/loading.js";
import { misrouteBadges } from "../parts/misroutes.js";
import { readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { readRouters, routerOptions } from "../parts/routers.js";
import { listTable } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";
import { showLog } from "./logs_one.js";

const REASONS = [
  "ambiguous",
  "several_requests",
  "previous_agent",
  "low_confidence",
  "out_of_scope",
  "background_prompt",
  "invalid_output",
  "timeout",
  "upstream_error",
  "capacity",
  "rate_limited",
  "quota",
  "not_configured",
];

export async function open(page) {
  const [id] = page.path;
  await (id ? showLog(page, id) : list(page));
}

async function list({ root, query, signal, may }) {
  const container = h("div", { class: "stack" });
  let wanted = {};
  replace(
    root,
    pageHead(
      "Logs",
      "All requests, newest first. Click a row for the full trace.",
      actionButton("Export (JSONL)", () => exportPage(wanted, signal)),
    ),
    container,
  );
  await load(
    container,
    () =>
      Promise.all([
        readAgents(signal),
        readModels(signal),
        readRouters(signal),
        deadLetters({ signal, may }),
      ]),
    ([agents, models, routers, unlogged]) => {
      const body = h("div", {});
      const show = (state) => {
        wanted = queryOf(state);
        return showPage(body, state, agents, { signal, may });
      };
      const specs = filterSpecs(agents, models, routers, query.get("router"));
      return [unlogged, filters({ parts: ["logs"], specs, query, show, signal }), body];
    },
    { signal },
  );
}

function filterSpecs(agents, models, routers, router) {
  const named = models
    .filter((model) => model.type !== "classifier")
    .map((model) => [model.adapter ?? model.base_model, model.id]);
  const all = [null, "All"];
  return [
    {
      name: "q",
      label: "Search queries",
      placeholder: "words or parts of words",
      live: true,
    },
    { name: "agent", label: "Agent", type: "select", options: agentOptions(agents, all) },
    { name: "model", label: "Model", type: "select", options: [all, ...named] },
    { name: "layer", label: "Layer", type: "select", options: choices(LAYERS, layerName, all) },
    {
      name: "outcome",
      label: "Outcome",
      type: "select",
      options: [all, ...OUTCOMES.map(([name, title]) => [name, title])],
    },
    { name: "reason", label: "Reason", type: "select", options: choices(REASONS, words, all) },
    {
      name: "labelled",
      label: "Labeled",
      type: "select",
      options: [all, ["true", "Yes"], ["false", "No"]],
    },
    {
      name: "label",
      label: "Label",
      type: "select",
      options: agentOptions(agents, all, [NO_AGENT, OUT_OF_SCOPE]),
    },
    {
      name: "misrouted",
      label: "Mis-routed",
      type: "select",
      options: [all, ["true", "Yes"], ["false", "No"]],
    },
    {
      name: "kind",
      label: "Kind",
      type: "select",
      options: [all, ["route", "Routing"], ["chat", "Chat"], ["questions", "Questions"]],
    },
    {
      name: "router",
      label: "Router",
      type: "select",
      options: routerOptions(routers, router, all),
    },
    {
      name: "max_confidence",
      label: "Max confidence",
      type: "number",
      min: 0,
      max: 1,
      step: "any",
    },
    { name: "min_latency_ms", label: "Min latency (ms)", type: "number", min: 0, step: "any" },
    { name: "max_latency_ms", label: "Max latency (ms)", type: "number", min: 0, step: "any" },
    { name: "key", label: "API key ID" },
    { name: "user", label: "User" },
    { name: "session", label: "Session" },
    { name: "from", label: "From", type: "datetime-local" },
    { name: "to", label: "To", type: "datetime-local" },
  ];
}

const queryOf = (state) => ({ ...state, from: instant(state.from), to: instant(state.to) });

async function exportPage(query, signal) {
  const { parts, rows, more } = await exportLogs(query, signal);
  if (rows === 0) {
    notice("No requests match: the file would be empty.");
    return;
  }
  save("edgeneuro-logs.jsonl", new Blob(parts, { type: "application/jsonl" }));
  const older = more ? ` Older than the newest ${count(MAX_EXPORTED)} are not in the file.` : "";
  notice(`${plural(rows, "request")} exported.${older}`);
}

function showPage(body, state, agents, { signal, may }) {
  const query = { ...queryOf(state), limit: 50 };
  const filtered = Object.values(state).some((value) => value !== null);
  const none = () =>
    filtered
      ? empty("No requests match these filters", "Remove a filter or change the time range.")
      : empty(
          "No requests yet",
          "Each request that is routed appears here.",
          may("route") ? link("Open playground", "#/playground", { size: "" }) : null,
        );
  return listTable(body, {
    caption: "Requests",
    path: "/v1/logs",
    query,
    columns: columns(agents, state),
    dense: true,
    none,
    signal,
  });
}

/** The address of a log row keeps the filters `state`, so that “Back to logs” restores them. */
const columns = (agents, state) => [
  {
    head: "Query",
    heading: true,
    kind: "wide",
    cell: (log) => [
      contextLine(log),
      h(
        "a",
        { href: address(["logs", log.id], state), title: log.query },
        log.query || "(text not stored)",
      ),
    ],
  },
  {
    head: "Agent",
    cell: (log) => [
      log.agent_id === null ? null : agentName(agents, log.agent_id),
      outcomeBadge(log.outcome) ?? (log.agent_id === null ? NOTHING : null),
      misrouteBadges(log),
    ],
  },
  { head: "Confidence", cell: (log) => percent(log.confidence, 0), kind: "number" },
  {
    head: "Layer",
    cell: (log) => [
      layerBadge(log.layer),
      log.reason ? h("span", { class: "help" }, words(log.reason)) : null,
    ],
  },
  { head: "Label", cell: (log) => labelOf(log, agents) },
  { head: "Latency", cell: (log) => ms(log.latency_ms), kind: "number" },
  { head: "Cost", cell: (log) => usd(log.cost_usd), kind: "number" },
  { head: "Time", cell: (log) => when(log.created_at) },
];

function labelOf(log, agents) {
  if (!log.label) return NOTHING;
  if (log.outcome === "clarify") return badge(agentName(agents, log.label.agent_id));
  const correct =
    log.label.agent_id === null
      ? ["out_of_scope", "low_confidence"].includes(log.reason)
      : log.label.agent_id === log.agent_id;
  return badge(agentName(agents, log.label.agent_id), correct ? "good" : "bad");
}
