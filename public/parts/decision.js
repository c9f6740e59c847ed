// A decision as people read it: who answers, why, by what, and how long each part took.

import { h } from "../dom.js";
import { count, ms, NOTHING, percent, usd, words } from "../format.js";
import { badge, bars, facts } from "./controls.js";
import { table } from "./table.js";

const LAYERS = {
  label: "label",
  cache: "kept answer",
  classifier: "classifier",
  llm: "model",
  fallback: "fallback agent",
  direct: "named by the caller",
};

/** The values of `on_no_fit`, as a select has them. */
export const ON_NO_FIT = [
  ["fallback", "The default agent answers"],
  ["none", "Nobody answers"],
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
  classifier: "the classifier's probability",
  label: "a label",
};

function confidence({ outcome, confidence: value, confidence_source: source }) {
  if (value === null) return outcome === "agent" ? "unknown: the model gave none" : percent(value);
  return source ? `${percent(value)}, ${SOURCES[source]}` : percent(value);
}

/** The facts that a decision and its log entry share. */
export function decisionFacts(decision) {
  return facts([
    ["Confidence", confidence(decision)],
    ["Answered by", layerBadge(decision.layer)],
    ["Reason", decision.reason ? words(decision.reason) : null],
    ["Model", decision.adapter ?? decision.model],
    ["Kept answers", { hit: "found", miss: "not found", bypass: "passed over" }[decision.cache]],
    ["Tokens", count(decision.usage.total_tokens)],
    ["Cost", decision.cost_usd === null ? "no price known" : usd(decision.cost_usd)],
    ["Time", ms(decision.latency_ms)],
    ["AI Gateway's log", decision.gateway.log_id],
    ["AI Gateway's cache", decision.gateway.cache_status],
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
    `The classifier said ${agent_id} with ${percent(score)}; it ${sure ? "was sure" : "was not sure"}`,
    threshold === null
      ? " (it never answers this agent)."
      : ` (from ${percent(threshold)} on it is).`,
  );
}

/** Bars for the stages, where they are known, else for the attempts and the router's own part. */
export function timing(decision) {
  const stages = decision.explanation?.stages_ms;
  const rows = stages
    ? Object.entries(stages).map(([name, value]) => ({ name: words(name), value }))
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
  const asked = decision.attempts.reduce((sum, attempt) => sum + attempt.ms, 0);
  return [
    {
      name: "router",
      value: Math.max(decision.latency_ms - Math.max(asked, decision.upstream_ms ?? 0), 0),
      kind: "soft",
    },
    ...decision.attempts.map(({ model, adapter, ms: value, outcome }) => ({
      name: `${adapter ?? model}${outcome === "ok" ? "" : ` (${words(outcome)})`}`,
      value,
      kind: outcome === "ok" ? "good" : "bad",
    })),
  ];
}

export function attemptsTable(attempts) {
  if (!attempts.length) return h("p", { class: "soft" }, "No model was asked.");
  return table({
    caption: "Attempts, in their order",
    rows: attempts,
    columns: [
      { head: "Model", cell: (one) => one.adapter ?? one.model, kind: "wide", heading: true },
      { head: "For", cell: (one) => one.purpose },
      { head: "By", cell: (one) => one.provider },
      {
        head: "Outcome",
        cell: (one) => badge(words(one.outcome), one.outcome === "ok" ? "good" : "bad"),
      },
      { head: "Code", cell: (one) => one.code ?? NOTHING },
      { head: "Time", cell: (one) => ms(one.ms), kind: "number" },
      { head: "Then asked", cell: (one) => one.fell_back_to ?? NOTHING },
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

/** What each stage came to, out of a log entry, in the order of the router. */
export function stages(log) {
  if (log.layer === "direct") {
    return h("p", {}, "The caller named who answers, so nothing was decided.");
  }
  if (log.layer === "label") {
    return h("p", {}, "A label in force for this question decided, before anything was asked.");
  }
  const rows = [
    [
      "Recall",
      { hit: "a kept answer was found", miss: "no kept answer", bypass: "passed over" }[log.cache],
    ],
    ["Classify", classifierSaid(log.classifier)],
    ["Ask", askedWhom(log.attempts)],
    ["Decide", decided(log)],
  ];
  return h(
    "ol",
    { class: "checklist" },
    rows.map(([name, text]) => h("li", {}, h("strong", {}, name), h("span", {}, text))),
  );
}

function classifierSaid(verdict) {
  if (!verdict) return "no classifier was asked";
  const { agent_id: agent, score, sure } = verdict;
  return `${agent} with ${percent(score)}, ${sure ? "sure" : "not sure enough"}`;
}

function askedWhom(attempts) {
  const routed = attempts.filter((attempt) => attempt.purpose === "route");
  if (!routed.length) return "no model was asked";
  return routed
    .map(({ adapter, model, outcome }) => `${adapter ?? model}: ${words(outcome)}`)
    .join(", then ");
}

function decided({ agent_id: agent, stated_confidence: stated, threshold, reason }) {
  if (agent === null) return `nobody answered: ${words(reason)}`;
  if (reason === null && stated === null)
    return `${agent}: the confidence is unknown, so the threshold does not apply`;
  if (reason === null)
    return `${agent}: ${percent(stated)} reaches the threshold ${percent(threshold)}`;
  return `${agent} is the fallback: ${words(reason)} (confidence ${percent(stated)}, threshold ${percent(threshold)})`;
}
