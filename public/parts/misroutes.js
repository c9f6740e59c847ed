// Misrouted requests: what was said of a decision, marking it, the chain of decisions, and the next best agent.

import { api } from "../api.js";
import { h } from "../dom.js";
import { session } from "../session.js";
import { agentName, NO_AGENT, OUT_OF_SCOPE } from "./agents.js";
import { actionButton, badge } from "./controls.js";
import { formDialog } from "./form.js";
import { readLog } from "./log_row.js";
import { notice } from "./notice.js";

const SAID = {
  rerouted: ["re-routed", "bad"],
  not_mine: ["not mine", "bad"],
  rephrased: ["asked again in other words", "warn"],
  human_wanted: ["asked for a human", "warn"],
  thanks: ["thanks", "good"],
};
const MISROUTES = ["rerouted", "not_mine"];

/** Whether an agent, a caller or a person said that the agent was the wrong one. */
export const isMisrouted = ({ signals, feedback }) =>
  signals.some(({ kind }) => MISROUTES.includes(kind)) ||
  feedback.some(({ value }) => value === "down");

/** Badges of a log row: its agent was the wrong one, or it is the next one after a wrong one. */
export function misrouteBadges(log) {
  return [
    isMisrouted(log) ? badge("misrouted", "bad") : null,
    log.rerouted_from ? badge("next best", "accent") : null,
  ];
}

/** Links to the decisions before and after this one, at(id); null if there are none. */
export function chainLinks({ rerouted_from: from, rerouted_to: to }, at) {
  if (!from && !to) return null;
  const linkTo = (id, text) => (id ? h("a", { href: at(id) }, text) : null);
  return h(
    "p",
    { class: "row" },
    linkTo(from, "Decision before (refused)"),
    linkTo(to, "Next decision (re-routed)"),
  );
}

/** What agents, callers and people have said of the decision; null if nothing. */
export function signalList({ signals }, agents) {
  if (!signals.length) return null;
  return h(
    "ul",
    { class: "checklist", "aria-label": "Signals" },
    signals.map(({ kind, agent_id: agent, reason }) =>
      h(
        "li",
        {},
        badge(...(SAID[kind] ?? [kind, "warn"])),
        h("span", {}, agent ? agentName(agents, agent) : "", reason ? `: ${reason}` : ""),
      ),
    ),
  );
}

/** Gives the turn to the next best agent; `after` gets the new decision. */
export function rerouteButton(id, agents, after) {
  return actionButton(
    "Re-route",
    async () => {
      const path = `/v1/decisions/${encodeURIComponent(id)}/reroute`;
      const decision = await api("POST", path, { body: {} });
      const agent = decision.agent ? agentName(agents, decision.agent.id) : "no agent";
      notice(`Re-routed to ${agent}.`);
      // The row of the new decision is written with the signal on the one before.
      await readLog(decision.id);
      await after(decision);
    },
    { size: "small", label: "Re-route to the next best agent" },
  );
}

/**
 * Says that the agent of a decision was the wrong one, and which is the right one, or takes that back.
 * `after` is called when it was said. Null where nothing was decided.
 */
export function markButton(log, agents, { may, after }) {
  if (!may("route") || log.outcome === null) return null;
  const path = `/v1/feedback/${encodeURIComponent(log.id)}`;
  const mine = log.feedback.find(({ key_id: key }) => key === session.caller?.id);
  if (mine?.value === "down") {
    const takeBack = async () => {
      await api("DELETE", path);
      notice(log.label ? "Mark removed. The label stays." : "Mark removed.");
      await after();
    };
    return actionButton("Remove the mark", takeBack, {
      size: "small",
      name: "mark",
      label: "Remove the mark as misrouted",
    });
  }
  const mark = async () => {
    const marked = await formDialog({
      title: "Mark as misrouted",
      fields: markFields(log, agents, may("label") && log.query_hash !== null),
      action: "Mark",
      onSubmit: (values) => sendMark(log, values),
    });
    if (!marked) return;
    notice("Marked as misrouted.");
    await after();
  };
  return actionButton("Mark as misrouted", mark, { size: "small", name: "mark" });
}

function markFields(log, agents, labels) {
  const others = agents.filter((agent) => agent.enabled && agent.id !== log.agent_id);
  return [
    {
      name: "correct_agent",
      label: "Correct agent",
      type: "select",
      options: [
        [null, "Not known"],
        ...(labels && log.agent_id !== null ? [[NO_AGENT, OUT_OF_SCOPE]] : []),
        ...others.map((agent) => [agent.id, agent.name]),
      ],
      help: labels
        ? "It becomes your label of this query."
        : "The query is decided again when it is asked the next time.",
    },
    { name: "comment", label: "Comment", type: "textarea", rows: 2 },
  ];
}

/** That no agent fits is said by a label alone. */
async function sendMark({ id }, { correct_agent: agent, comment }) {
  const none = agent === NO_AGENT;
  const feedback = { decision_id: id, value: "down", comment, correct_agent: none ? null : agent };
  await api("POST", "/v1/feedback", { body: feedback });
  if (none) {
    const path = `/v1/logs/${encodeURIComponent(id)}/label`;
    await api("PUT", path, { body: { agent_id: null } });
  }
}
