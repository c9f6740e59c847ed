// A label in the table of given labels: what each labeler says, and what may be done with it.

import { api } from "../api.js";
import { h } from "../dom.js";
import { agentName, labelField, labelOf, NO_AGENT } from "../parts/agents.js";
import { badge, button } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { notice } from "../parts/notice.js";
import { session } from "../session.js";

/** The agent in force; where several labelers labelled the question, with the vote of each. */
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
          votes.map((vote) => h("li", {}, `${vote.labeler}: ${agentName(agents, vote.agent_id)}`)),
        )
      : null,
  );
}

/** `show` draws the table again. */
export function labelActions(label, agents, show) {
  if (!session.may("label")) return null;
  const own = label.votes.some((vote) => vote.labeler === session.caller?.id);
  const name = label.query.slice(0, 60);
  return h(
    "div",
    { class: "row" },
    session.may("admin") && (label.conflict || label.final)
      ? action("Decide", name, () => decide(label, agents, show))
      : null,
    own
      ? action("Take back", name, () => takeBack(label, show, {}))
      : session.may("admin")
        ? action("Remove", name, () => takeBack(label, show, { all: true }))
        : null,
  );
}

function action(text, name, act) {
  const element = button(text, act, { size: "small" });
  element.setAttribute("aria-label", `${text}: ${name}`);
  return element;
}

const path = (label) => `/v1/labels/${label.query_hash}/label`;

/** A final label: it decides whatever the votes say. */
async function decide(label, agents, show) {
  const choice = labelField(agents, label.agent_id ?? NO_AGENT, "final_label");
  const done = await confirm({
    title: "Decide this conflict",
    body: [h("p", { class: "label-query" }, label.query), choice.element],
    action: "Save as final",
    act: () => api("PUT", path(label), { body: { agent_id: labelOf(choice), final: true } }),
  });
  if (done === undefined) return;
  notice("The label is final.");
  await show();
}

async function takeBack(label, show, query) {
  const done = await confirm({
    title: query.all ? "Remove the labels of all labelers" : "Take back your label",
    body: [
      h("p", { class: "label-query" }, label.query),
      h(
        "p",
        {},
        query.all
          ? "The question has no label then. The history keeps them."
          : "Your former label counts again, if you gave one. The labels of others stay.",
      ),
    ],
    action: query.all ? "Remove" : "Take back",
    danger: true,
    act: () => api("DELETE", path(label), { query }),
  });
  if (done === undefined) return;
  notice(query.all ? "The labels are removed." : "Your label is taken back.");
  await show();
}
