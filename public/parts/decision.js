// Shows a decision: the agent, the reason, the layer that decided, and the latency of each stage.

import { h } from "../dom.js";
import { count, ms, NOTHING, percent, usd, words } from "../format.js";
import { badge, bars, facts } from "./controls.js";
import { table } from "./table.js";

const LAYERS = {
  label: "Label",
  cache: "Cache",
  classifier: "Classifier",
  llm: "LLM",
  fallback: "Fallback",
  direct: "Direct (no routing)",
};

/** The options of `on_no_fit`. */
export const ON_NO_FIT = [
  ["fallback", "Use the fallback agent"],
  ["none", "Return no agent"],
];

export const layerName = (layer) => LAYERS[layer] ?? layer;

export function layerBadge(layer) {
  return badge(
    layerName(layer),
    { fallback: "warn", label: "good", classifier: "good", cache: "good", llm: "accent" }[layer],
  );
}

const SOURCES = {
  stated: "stated by the model",
  logprobs: "from token probabilities",
  classifier: "classifier probability",
  label: "from a label",
};

function confidence({ outcome, confidence: value, confidence_source: source }) {
  if (value === null) return outcome === "agent" ? "not given by the model" : percent(value);
  return source ? `${percent(value)}, ${SOURCES[source]}` : percent(value);
}

/** The facts that a decision and its log row share. */
export function decisionFacts(decision) {
  return facts([
    ["Confidence", confidence(decision)],
    ["Layer", layerBadge(decision.layer)],
    ["Reason", decision.reason ? words(decision.reason) : null],
    ["Model", decision.adapter ?? decision.model],
    ["Cache", { hit: "hit", miss: "miss", bypass: "bypassed" }[decision.cache]],
    ["Tokens", count(decision.usage.total_tokens)],
    ["Cost", decision.cost_usd === null ? "price unknown" : usd(decision.cost_usd)],
    ["Latency", ms(decision.latency_ms)],
    ["AI Gateway log ID", decision.gateway.log_id],
    ["AI Gateway cache", decision.gateway.cache_status],
  ]);
}

export function alternatives(decision) {
  if (!decision.alternatives.length) return null;
  return h(
    "div",
    { class: "stack-small" },
    h("h3", {}, "Alternatives"),
    bars(
      decision.alternatives.map(({ agent_id, score }) => ({
        name: agent_id,
        value: score,
        text: percent(score),
      })),
    ),
  );
}

export function classifierFacts({ classifier }) {
  if (!classifier) return null;
  const { agent_id, score, threshold, sure } = classifier;
  return h(
    "p",
    {},
    `Classifier: ${agent_id}, probability ${percent(score)}, ${sure ? "accepted" : "not accepted"}`,
    threshold === null ? " (this agent has no threshold)." : ` (threshold ${percent(threshold)}).`,
  );
}

const STAGES = {
  recall: "memory cache",
  recall_stored: "D1 cache",
  stored_cache: "D1 cache",
  classify: "classifier",
  ask: "LLM call",
  model: "LLM call",
  decide: "threshold",
};

/** Bars for the stages if they are known, else for the model calls and the rest of the router. */
export function timing(decision) {
  const stages = decision.explanation?.stages_ms;
  const rows = stages
    ? Object.entries(stages).map(([name, value]) => ({ name: STAGES[name] ?? words(name), value }))
    : attemptRows(decision);
  let start = 0;
  const placed = rows.map((row) => {
    const one = { ...row, start, text: ms(row.value) };
    start += row.value;
    return one;
  });
  return bars(placed);
}

function attemptRows(decision) {
  const upstream = decision.attempts.reduce((sum, attempt) => sum + attempt.ms, 0);
  return [
    {
      name: "router",
      value: Math.max(decision.latency_ms - Math.max(upstream, decision.upstream_ms ?? 0), 0),
      kind: "muted",
    },
    ...decision.attempts.map(({ model, adapter, ms: value, outcome }) => ({
      name: `${adapter ?? model}${outcome === "ok" ? "" : ` (${words(outcome)})`}`,
      value,
      kind: outcome === "ok" ? "good" : "bad",
    })),
  ];
}

export function attemptsTable(attempts) {
  if (!attempts.length) return h("p", { class: "muted" }, "No LLM call.");
  return table({
    caption: "Model calls in order",
    rows: attempts,
    columns: [
      { head: "Model", cell: (one) => one.adapter ?? one.model, kind: "wide", heading: true },
      { head: "Purpose", cell: (one) => one.purpose },
      { head: "Provider", cell: (one) => one.provider },
      {
        head: "Outcome",
        cell: (one) => badge(words(one.outcome), one.outcome === "ok" ? "good" : "bad"),
      },
      { head: "Code", cell: (one) => one.code ?? NOTHING },
      { head: "Latency", cell: (one) => ms(one.ms), kind: "number" },
      { head: "Fell back to", cell: (one) => one.fell_back_to ?? NOTHING },
    ],
  });
}

export function prompt(messages) {
  return messages.map(({ role, content }) =>
    h(
      "div",
      { class: "stack-small" },
      h("h3", {}, words(role)),
      h("pre", { tabindex: "0" }, content),
    ),
  );
}

/** The outcome of each stage of a log row, in the router's order. */
export function stages(log) {
  if (log.layer === "direct") {
    return h("p", {}, "The caller named the agent or model, so no routing was needed.");
  }
  if (log.layer === "label") {
    return h("p", {}, "A label of this query decided. No other stage ran.");
  }
  const rows = [
    ["Cache", { hit: "hit", miss: "miss", bypass: "bypassed" }[log.cache]],
    ["Classifier", classifierResult(log.classifier)],
    ["LLM call", llmResult(log.attempts)],
    ["Threshold", thresholdResult(log)],
  ];
  return h(
    "ol",
    { class: "checklist" },
    rows.map(([name, text]) => h("li", {}, h("strong", {}, name), h("span", {}, text))),
  );
}

function classifierResult(result) {
  if (!result) return "not used";
  const { agent_id: agent, score, sure } = result;
  return `${agent}, probability ${percent(score)}, ${sure ? "accepted" : "below its threshold"}`;
}

function llmResult(attempts) {
  const routed = attempts.filter((attempt) => attempt.purpose === "route");
  if (!routed.length) return "none";
  return routed
    .map(({ adapter, model, outcome }) => `${adapter ?? model}: ${words(outcome)}`)
    .join(", then ");
}

function thresholdResult({ agent_id: agent, stated_confidence: stated, threshold, reason }) {
  if (agent === null) return `no agent: ${words(reason)}`;
  if (reason === null && stated === null)
    return `${agent}: no confidence, so the threshold does not apply`;
  if (reason === null)
    return `${agent}: confidence ${percent(stated)}, threshold ${percent(threshold)}`;
  return `fallback to ${agent}: ${words(reason)} (confidence ${percent(stated)}, threshold ${percent(threshold)})`;
}
