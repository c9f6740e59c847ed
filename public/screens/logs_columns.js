// The columns of the list of logs.

import { h } from "../dom.js";
import { ms, NOTHING, percent, usd, words } from "../format.js";
import { agentName } from "../parts/agents.js";
import { contextLine } from "../parts/context.js";
import { badge } from "../parts/controls.js";
import { layerBadge, outcomeBadge } from "../parts/decision.js";
import { misrouteBadges } from "../parts/misroutes.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";

/** The address of a log row keeps the filters `state()`, so that “Back to logs” restores them. */
export const columns = (agents, state) => [
  {
    head: "Query",
    heading: true,
    kind: "wide",
    cell: (log) => [
      h(
        "a",
        { href: address(["logs", log.id], state()), title: log.query },
        log.query || "(text not stored)",
      ),
      contextLine(log),
    ],
  },
  {
    head: "Agent",
    cell: (log) => [
      log.agent_id === null ? null : h("span", {}, agentName(agents, log.agent_id)),
      outcomeBadge(log.outcome) ?? (log.agent_id === null ? noAgent(log) : null),
      misrouteBadges(log),
    ],
  },
  { head: "Confidence", cell: confidence, kind: "number" },
  {
    head: "Layer",
    cell: (log) => [
      layerBadge(log.layer),
      log.reason ? h("span", { class: "help" }, words(log.reason)) : null,
    ],
  },
  { head: "Label", cell: (log) => labelOf(log, agents), minor: true },
  { head: "Latency", cell: (log) => ms(log.latency_ms), kind: "number", minor: true },
  { head: "Cost", cell: (log) => usd(log.cost_usd), kind: "number", minor: true },
  { head: "Time", cell: (log) => when(log.created_at) },
];

/** What a stage stated for an answer that was not used is muted. */
function confidence({ confidence: decided, stated_confidence: stated }) {
  if (decided !== null || !stated) return percent(decided, 0);
  return h(
    "span",
    { class: "muted", title: "Stated for an answer that was not used" },
    percent(stated, 0),
  );
}

const noAgent = ({ status }) => (status === 200 ? NOTHING : badge(`Error ${status}`, "bad"));

function labelOf(log, agents) {
  if (!log.label) return NOTHING;
  if (log.outcome === "clarify") return badge(agentName(agents, log.label.agent_id));
  const correct =
    log.label.agent_id === null
      ? ["out_of_scope", "low_confidence"].includes(log.reason)
      : log.label.agent_id === log.agent_id;
  return badge(agentName(agents, log.label.agent_id), correct ? "good" : "bad");
}
