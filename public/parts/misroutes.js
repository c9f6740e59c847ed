// Mis-routes: what was said of a decision, the chain of decisions, and the next best agent.

import { api } from "../api.js";
import { h } from "../dom.js";
import { address } from "../router.js";
import { agentName } from "./agents.js";
import { actionButton, badge } from "./controls.js";
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

/** Badges of a log row: its agent was the wrong one, or it is the next one after a wrong one. */
export function misrouteBadges({ signals, rerouted_from: from }) {
  return [
    signals.some(({ kind }) => MISROUTES.includes(kind)) ? badge("mis-routed", "bad") : null,
    from ? badge("next best", "accent") : null,
  ];
}

/** Links to the decisions before and after this one; null if there are none. */
export function chainLinks({ rerouted_from: from, rerouted_to: to }) {
  if (!from && !to) return null;
  const linkTo = (id, text) => (id ? h("a", { href: address(["logs", id]) }, text) : null);
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
