// Changes the label of a question that has one.

import { api } from "../api.js";
import { h } from "../dom.js";
import { agentName, labelField, labelOf, NO_AGENT } from "./agents.js";
import { confirm } from "./dialog.js";
import { notice } from "./notice.js";

/** Gives the question a label as one's own vote; says so if the votes of others outweigh it. */
export async function giveLabel({ query_hash: hash }, agentId, agents) {
  const body = { agent_id: agentId };
  const inForce = await api("PUT", `/v1/labels/${hash}/label`, { body });
  notice(
    inForce.agent_id === agentId
      ? "Label saved."
      : `Your label is saved, but ${agentName(agents, inForce.agent_id)} stays in force: ${inForce.final ? "that label is final" : "more labelers chose it"}.`,
  );
}

/** Asks for the correct agent; resolves to whether the label was given. */
export async function changeLabel(label, agents) {
  const choice = labelField(agents, label.agent_id ?? NO_AGENT, "changed_label");
  const done = await confirm({
    title: "Change the label",
    body: [h("p", { class: "label-query" }, label.query), choice.element],
    action: "Save",
    act: async () => {
      await giveLabel(label, labelOf(choice), agents);
      return true;
    },
  });
  return done !== undefined;
}
