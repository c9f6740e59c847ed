// Shows a decision: the agent, the reason, the layer that decided, probabilities and latency.

import { h } from "../dom.js";
import { count, ms, NOTHING, percent, usd, words } from "../format.js";
import { agentLabel } from "./agents.js";
import { badge, bars, facts } from "./controls.js";
import { idText } from "./ids.js";
import { table } from "./table.js";

const LAYERS = {
  rule: "Rule",
  session: "Conversation",
  label: "Label",
  cache: "Cache",
  classifier: "Classifier",
  embedding: "Second classifier",
  llm: "LLM",
  decision_model: "Decision model",
  fallback: "Fallback",
  direct: "Direct (no routing)",
};
const BADGES = {
  fallback: "warn",
  rule: "good",
  session: "good",
  label: "good",
  classifier: "good",
  embedding: "good",
  cache: "good",
  llm: "accent",
  decision_model: "accent",
};

/** The options of `on_no_fit`. */
export const ON_NO_FIT = [
  ["fallback", "Use the fallback agent"],
  ["none", "Return no agent"],
];

/** The outcomes of a decision: their names in the API, titles and kinds of bars. */
export const OUTCOMES = [
  ["agent", "Agent", "good"],
  ["agents", "Several agents", "good"],
  ["clarify", "Clarifying question", undefined],
  ["fallback", "Fallback", "bad"],
  ["none", "No agent", "muted"],
];

export const outcomeName = (outcome) => OUTCOMES.find(([name]) => name === outcome)?.[1] ?? outcome;

/** A badge for the outcomes that the agent alone does not show; null for the others. */
export const outcomeBadge = (outcome) =>
  outcome === "agents" || outcome === "clarify" ? badge(outcomeName(outcome), "accent") : null;

export const layerName = (layer) => LAYERS[layer] ?? layer;

export const layerBadge = (layer) => badge(layerName(layer), BADGES[layer]);

const SOURCES = {
  stated: "stated by the model",
  logprobs: "from token probabilities",
  classifier: "classifier probability",
  decision_model: "decision model probability",
  label: "from a label",
  rule: "from a rule",
  session: "from the conversation",
};

function confidence({ outcome, reason, confidence: value, confidence_source: source, calibrated }) {
  if (reason === "preferred_by_rule") return NOTHING;
  if (value === null)
    return outcome?.startsWith("agent") ? "not given by the model" : percent(value);
  return [percent(value), SOURCES[source], calibrated ? "calibrated" : null]
    .filter(Boolean)
    .join(", ");
}

/** The facts that a decision and its log row share. */
export function decisionFacts(decision) {
  return facts([
    ["Confidence", confidence(decision)],
    ["Outcome", decision.outcome ? outcomeName(decision.outcome) : null],
    ["Layer", layerBadge(decision.layer)],
    ["Reason", decision.reason ? words(decision.reason) : null],
    ["Model", decision.adapter ?? decision.model],
    ["Cache", cacheState(decision.cache)],
    ["Tokens", count(decision.usage.total_tokens)],
    ["Cost", decision.cost_usd === null ? "price unknown" : usd(decision.cost_usd)],
    ["Latency", ms(decision.latency_ms)],
    ["AI Gateway log ID", decision.gateway.log_id ? idText(decision.gateway.log_id) : null],
    ["AI Gateway cache", decision.gateway.cache_status],
  ]);
}

export const cacheState = (state) => ({ hit: "hit", miss: "miss", bypass: "bypassed" })[state];

const NONE = "no agent fits";

/** Bars for the agents of a ranking and for "no agent fits", the most probable first. */
export function scoreBars({ scores, none_probability: none }) {
  const rows = scores.map(({ agent_id: id, probability: value }) => ({
    name: agentLabel(id),
    value,
  }));
  if (none !== null) rows.push({ name: NONE, value: none, kind: "muted" });
  rows.sort((one, other) => other.value - one.value);
  return bars(
    rows.map((row) => ({ ...row, text: percent(row.value) })),
    1,
  );
}

/** What else a decision model said in a stage, and what was cut from its question; null if nothing. */
export function questionFacts(stage) {
  const rows = [
    ["Clarifying question needed", probability(stage.clarify_probability)],
    ["Several agents needed", probability(stage.several_probability)],
    ["Continues the turn before", probability(stage.follow_up_probability)],
    ["Agents not offered", stage.agents_left_out ? count(stage.agents_left_out) : null],
    ["Cut from the agents' texts", characters(stage.agents_cut)],
    ["Cut from the message and the turn before", characters(stage.state_cut)],
  ].filter(([, value]) => value !== null);
  return rows.length ? facts(rows) : null;
}

const probability = (value) => (value === null || value === undefined ? null : percent(value));
const characters = (value) => (value ? `${count(value)} characters` : null);

export function classifierFacts({ classifier }) {
  if (!classifier) return null;
  const { agent_id, score, threshold, sure } = classifier;
  return h(
    "p",
    {},
    `Classifier: ${agentLabel(agent_id)}, probability ${percent(score)}, ${sure ? "accepted" : "not accepted"}`,
    threshold === null ? " (this agent has no threshold)." : ` (threshold ${percent(threshold)}).`,
  );
}

const STAGES = {
  rule: "rules",
  session_read: "session read",
  session: "session",
  recall: "memory cache",
  recall_stored: "D1 cache",
  stored_cache: "D1 cache",
  classify: "classifier",
  embedding: "second classifier",
  ask: "model call",
  shortlist: "model call, fewer agents",
  model: "model call",
  decide: "threshold",
  clarified: "reply to a question",
};

export const stageName = (name) => STAGES[name] ?? words(name);

/** Bars for the stages if they are known, else for the model calls and the rest of the router. */
export function timing(decision) {
  const stages = decision.explanation?.stages_ms;
  const rows = stages
    ? Object.entries(stages).map(([name, value]) => ({ name: stageName(name), value }))
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
      kind: attemptKind(outcome),
    })),
  ];
}

/** An agent that hands the turn back has not failed. */
export const attemptKind = (outcome) => ({ ok: "good", not_mine: "warn" })[outcome] ?? "bad";

export function attemptsTable(attempts) {
  if (!attempts.length) return h("p", { class: "muted" }, "No model call.");
  return table({
    caption: "Model calls in order",
    rows: attempts,
    columns: [
      { head: "Model", cell: (one) => one.adapter ?? one.model, kind: "wide", heading: true },
      { head: "Purpose", cell: (one) => one.purpose },
      { head: "Provider", cell: (one) => one.provider },
      {
        head: "Outcome",
        cell: (one) => badge(words(one.outcome), attemptKind(one.outcome)),
      },
      { head: "Code", cell: (one) => one.code ?? NOTHING },
      { head: "Latency", cell: (one) => ms(one.ms), kind: "number" },
      { head: "Fell back to", cell: (one) => one.fell_back_to ?? NOTHING },
    ],
  });
}
