// The filters of the list of logs: their fields, and the query that the API gets.

import { instant, localTime, words } from "../format.js";
import { agentOptions, NO_AGENT, OUT_OF_SCOPE } from "../parts/agents.js";
import { layerName, OUTCOMES } from "../parts/decision.js";
import { choices } from "../parts/filters.js";
import { LAYERS } from "../parts/layers.js";
import { routerOptions } from "../parts/routers.js";

const HOUR_MS = 3_600_000;
const RANGES = {
  "1h": ["Last hour", 1],
  "24h": ["Last 24 hours", 24],
  "7d": ["Last 7 days", 168],
  "30d": ["Last 30 days", 720],
};
const CUSTOM = "custom";
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
const ALL = [null, "All"];
const YES_NO = [ALL, ["true", "Yes"], ["false", "No"]];

/** Views that everybody has: names, and the state of the filters. */
export const VIEWS = [
  ["All requests", {}],
  // An answer that never came has the confidence 0.
  ["Low confidence", { min_confidence: "0.01", max_confidence: "0.6" }],
  ["Fallback", { outcome: "fallback" }],
  ["Errors", { error: "true" }],
  ["Misrouted", { misrouted: "true" }],
];

/** The fields for the address `query`. */
export function filterSpecs(agents, models, routers, query) {
  const named = models
    .filter((model) => model.type !== "classifier")
    .map((model) => [model.adapter ?? model.base_model, model.id]);
  const select = (name, label, options, more = true) => ({
    name,
    label,
    type: "select",
    options,
    more,
  });
  const share = { type: "number", min: 0, max: 1, step: "any", more: true };
  const time = { type: "number", min: 0, step: "any", more: true };
  return [
    {
      name: "q",
      label: "Search queries",
      placeholder: "words or parts of words",
      live: true,
    },
    { ...select("agent", "Agent", agentOptions(agents, ALL), false), keeps: true },
    select("layer", "Layer", choices(LAYERS, layerName, ALL), false),
    select("outcome", "Outcome", [ALL, ...OUTCOMES.map(([name, title]) => [name, title])], false),
    {
      ...select("range", "Time", timeOptions, false),
      clears: ["from", "to"],
      chip: timeChip,
    },
    { name: "from", label: "From", type: "datetime-local", step: "any", chip: () => null },
    { name: "to", label: "To", type: "datetime-local", step: "any", chip: () => null },
    { ...select("model", "Model", [ALL, ...named]), keeps: true },
    select("reason", "Reason", choices(REASONS, words, ALL)),
    select("error", "Error", YES_NO),
    select("misrouted", "Misrouted", YES_NO),
    select("labelled", "Labeled", YES_NO),
    {
      ...select("label", "Label", agentOptions(agents, ALL, [NO_AGENT, OUT_OF_SCOPE])),
      keeps: true,
    },
    select("kind", "Kind", [
      ALL,
      ["route", "Routing"],
      ["chat", "Chat"],
      ["questions", "Questions"],
    ]),
    select("router", "Router", routerOptions(routers, query.get("router"), ALL)),
    { ...share, name: "min_confidence", label: "Min confidence" },
    { ...share, name: "max_confidence", label: "Max confidence" },
    { ...time, name: "min_latency_ms", label: "Min latency (ms)" },
    { ...time, name: "max_latency_ms", label: "Max latency (ms)" },
    { name: "user", label: "User", more: true },
    { name: "session", label: "Session", more: true },
    { name: "key", label: "API key ID", more: true },
    {
      name: "metadata",
      label: "Metadata",
      placeholder: "team=blue",
      pattern: "[^=]+=.+",
      patternHelp: "Write a key and a value: team=blue",
      more: true,
    },
  ];
}

const timeOptions = [
  [null, "Any time"],
  ...Object.entries(RANGES).map(([value, [title]]) => [value, title]),
  [CUSTOM, "Custom range"],
];

/** The address as the fields have it: one with a time but no range has a custom one. */
export function withRange(query) {
  const ranged = new URLSearchParams(query);
  const timed = ranged.get("from") || ranged.get("to");
  if (timed && !ranged.get("range")) ranged.set("range", CUSTOM);
  return ranged;
}

/** The fields to show: the two times only for a custom range. */
export const visibleFields = (state) =>
  Object.keys(state).filter((name) => state.range === CUSTOM || !["from", "to"].includes(name));

/** The query of the API for these filters. */
export function queryOf({ range, from, to, metadata, ...state }) {
  const [key, ...value] = metadata?.split("=") ?? [];
  const hours = Object.hasOwn(RANGES, range ?? "") ? RANGES[range][1] : null;
  return {
    ...state,
    ...(metadata ? { [`metadata.${key}`]: value.join("=") } : {}),
    from: hours ? new Date(Date.now() - hours * HOUR_MS).toISOString() : instant(from),
    to: hours ? null : instant(to),
  };
}

/** The same filters with a time range in unix milliseconds. */
export const between = (state, from, to) => ({
  ...state,
  range: CUSTOM,
  from: localTime(from, { seconds: true }),
  to: localTime(to, { seconds: true }),
});

function timeChip(range, { from, to }) {
  if (range !== CUSTOM) return RANGES[range][0];
  if (!from && !to) return null;
  const text = (local) => new Date(local).toLocaleString(undefined, SHORT);
  if (!to) return `since ${text(from)}`;
  return from ? `${text(from)} – ${text(to)}` : `before ${text(to)}`;
}

const SHORT = { dateStyle: "medium", timeStyle: "short" };
