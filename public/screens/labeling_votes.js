// A row of the labels table: the vote of each labeler, and the actions.

import { api } from "../api.js";
import { h } from "../dom.js";
import { agentName, labelField, labelOf, NO_AGENT } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { badge, button } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { changeLabel } from "../parts/label_change.js";
import { notice } from "../parts/notice.js";
import { session } from "../session.js";
import { eraseQuery } from "./labeling_erase.js";

/** The label in force; with several labelers, also the vote of each. */
export function votesView({ agent_id: agentId, final, conflict, votes }, agents) {
  return h(
    "div",
    {},
    h(
      "div",
      { class: "row" },
      agentName(agents, agentId),
      final ? badge("final", "good") : null,
      conflict ? badge("conflict", "warn") : null,
    ),
    votes.length > 1
      ? h(
          "ul",
          { class: "help" },
          votes.map((vote) =>
            h("li", {}, `${callerLabel(vote.labeler)}: ${agentName(agents, vote.agent_id)}`),
          ),
        )
      : null,
  );
}

/** `show` reloads the table. */
export function labelActions(label, agents, show) {
  if (!session.may("label")) return null;
  const own = label.votes.some((vote) => vote.labeler === session.caller?.id);
  const name = label.query.slice(0, 60);
  return h(
    "div",
    { class: "row" },
    // A final label decides alone: only another final one changes it.
    label.final
      ? null
      : action("Change", name, async () => {
          if (await changeLabel(label, agents)) await show();
        }),
    session.may("admin") && (label.conflict || label.final)
      ? action("Resolve", name, () => resolveConflict(label, agents, show))
      : null,
    own
      ? action("Remove my label", name, () => removeVotes(label, show, {}))
      : session.may("admin")
        ? action("Remove all", name, () => removeVotes(label, show, { all: true }))
        : null,
    session.may("admin") ? action("Erase", name, () => eraseQuery(label, show)) : null,
  );
}

function action(text, name, act) {
  const element = button(text, act, { size: "small" });
  element.setAttribute("aria-label", `${text}: ${name}`);
  return element;
}

const path = (label) => `/v1/labels/${label.query_hash}/label`;

/** Sets a final label, which overrides the votes. */
async function resolveConflict(label, agents, show) {
  const choice = labelField(agents, label.agent_id ?? NO_AGENT, "final_label");
  const done = await confirm({
    title: "Set the final label",
    body: [h("p", { class: "label-query" }, label.query), choice.element],
    action: "Save as final",
    act: () => api("PUT", path(label), { body: { agent_id: labelOf(choice), final: true } }),
  });
  if (done === undefined) return;
  notice("Final label saved.");
  await show();
}

async function removeVotes(label, show, query) {
  const done = await confirm({
    title: query.all ? "Remove the labels of all labelers?" : "Remove your label?",
    body: [
      h("p", { class: "label-query" }, label.query),
      h(
        "p",
        {},
        query.all
          ? "The query will have no label. The label history keeps them."
          : "Your previous label, if any, applies again. The labels of others stay.",
      ),
    ],
    action: "Remove",
    danger: true,
    act: () => api("DELETE", path(label), { query }),
  });
  if (done === undefined) return;
  notice(query.all ? "Labels removed." : "Your label was removed.");
  await show();
}
