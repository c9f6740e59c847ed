// Machine labels on the page Datasets: what models decided, counted apart from the labels.

import { h } from "../dom.js";
import { count } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { card, facts, link } from "../parts/controls.js";
import { table } from "../parts/table.js";

const OFF = {
  learning_off: "Off: the setting Learning is off.",
  texts_not_stored: "None: queries are not stored.",
  texts_redacted: "None: personal data is removed from stored queries.",
};
const REASONS = {
  agent_before_unknown: "After an agent that is not enabled",
  agent_not_enabled: "Agent not enabled",
  contradicted: "Feedback or a signal against them",
  labeled: "Labeled",
  low_confidence: "Low confidence",
  near_duplicate: "Near-duplicates",
  none_in_conversation: "No agent fits, in a conversation",
  not_all_agents: "Not all agents allowed, or a rule applied",
  other_model: "By a model that is not in use",
  over_the_limit: "Over the limit",
  rerouted: "Rerouted",
  share_of_caller: "Too many of one caller",
  test_part: "In the test split",
};

export function machineLabelsCard(machine) {
  if (machine.off)
    return card(
      "Machine labels",
      h("p", {}, OFF[machine.off] ?? machine.off, " ", link("Settings", "#/settings")),
    );
  const leftOut = Object.entries(machine.left_out);
  return card(
    "Machine labels",
    h(
      "p",
      { class: "muted" },
      "Confident decisions of models that nobody contradicts. Trainings learn from them at a lower weight. They are no labels and do not count as accuracy.",
    ),
    facts([
      ["Machine labels", count(machine.total)],
      ["In conversations", count(machine.in_conversations)],
      ...Object.entries(machine.models).map(([model, labels]) => [`By ${model}`, count(labels)]),
    ]),
    machine.one_sided
      ? h(
          "div",
          { class: "panel", "data-kind": "warn" },
          `More than 90 % of the decisions are for ${agentLabel(machine.one_sided)}: such a model teaches little. Check the agents' descriptions, or select another model.`,
        )
      : null,
    machine.total
      ? table({
          caption: "Machine labels by agent",
          rows: [...machine.agents, { agent_id: null, machine_labels: machine.out_of_scope }],
          columns: [
            { head: "Agent", heading: true, cell: (row) => agentLabel(row.agent_id) },
            {
              head: "Machine labels",
              cell: (row) => count(row.machine_labels),
              kind: "number",
            },
          ],
        })
      : null,
    leftOut.length
      ? table({
          caption: "Decisions that are left out",
          rows: leftOut,
          columns: [
            { head: "Reason", heading: true, cell: ([why]) => REASONS[why] ?? why },
            { head: "Decisions", cell: ([, decisions]) => count(decisions), kind: "number" },
          ],
        })
      : null,
  );
}
