// The trace of a logged request: each stage of the pipeline, with its ranking.

import { h } from "../dom.js";
import { ms, percent, words } from "../format.js";
import { agentLabel } from "./agents.js";
import { cacheState, questionFacts, scoreBars, stageName } from "./decision.js";
import { inPageWords } from "./page_words.js";

const OUTCOMES = {
  decided: "ranking accepted",
  ranked: "ranking not accepted",
  skipped: "skipped",
};

/** The stages of a log row in the router's order, then the threshold. */
export function trace(log) {
  if (log.layer === "direct") {
    return h("p", {}, "The caller named the agent or model, so no routing was needed.");
  }
  const rows = log.stages?.length ? log.stages.map(stageRow) : summary(log);
  return h(
    "ol",
    { class: "checklist trace" },
    [...rows, ["threshold", thresholdResult(log)]].map(([name, ...content]) =>
      h("li", {}, h("strong", {}, name), h("div", { class: "stack-small" }, content)),
    ),
  );
}

function stageRow(stage) {
  const { name, outcome, reason, ms: duration, scores, none_probability: none } = stage;
  const ranked = scores.length || none !== null;
  return [
    stageName(name),
    h(
      "span",
      {},
      `${OUTCOMES[outcome]}${reason ? `: ${inPageWords(reason)}` : ""} (${ms(duration)})`,
    ),
    ranked ? scoreBars(stage) : null,
    questionFacts(stage),
  ];
}

/** For rows without stages. */
function summary(log) {
  if (log.layer === "label") return [["label", "a label of this query decided"]];
  return [
    ["cache", cacheState(log.cache)],
    ["classifier", classifierResult(log.classifier)],
    ["model call", callResult(log.attempts)],
  ];
}

function classifierResult(result) {
  if (!result) return "not used";
  const { agent_id: agent, score, sure } = result;
  return `${agentLabel(agent)}, probability ${percent(score)}, ${sure ? "accepted" : "below its threshold"}`;
}

function callResult(attempts) {
  const routed = attempts.filter((attempt) => attempt.purpose === "route");
  if (!routed.length) return "none";
  return routed
    .map(({ adapter, model, outcome }) => `${adapter ?? model}: ${words(outcome)}`)
    .join(", then ");
}

function thresholdResult({ agent_id: id, stated_confidence: stated, threshold, reason }) {
  const agent = agentLabel(id);
  if (reason === "ambiguous") return "agents are close: a clarifying question instead";
  if (reason === "several_requests") return `the message is for several agents, ${agent} first`;
  if (reason === "previous_agent")
    return `${agent}: agents are close, and it answered the previous turn`;
  if (agent === null) return `no agent: ${words(reason)}`;
  if (reason === "preferred_by_rule") return `${agent}: no stage decided, and a rule prefers it`;
  if (reason === null && stated === null)
    return `${agent}: no confidence, so the threshold does not apply`;
  if (reason === null)
    return `${agent}: confidence ${percent(stated)}, threshold ${percent(threshold)}`;
  return `fallback to ${agent}: ${words(reason)} (confidence ${percent(stated)}, threshold ${percent(threshold)})`;
}
