// Whether the selected classifier is still asked what it was trained for: the `drift` of the analytics.

import { h } from "../dom.js";
import { count, NOTHING, percent } from "../format.js";
import { card } from "../parts/controls.js";
import { table } from "../parts/table.js";

const WINDOWS = { "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days" };
const NO_CHANGE = "Nothing has changed by more than chance and by enough to matter.";

/** Null where no classifier is selected. */
export function driftCard(drift) {
  if (!drift) return null;
  const { training_abstained_share: abstained, training_out_of_scope_share: outOfScope } = drift;
  return card(
    "Drift",
    drift.alerts.length
      ? h(
          "ul",
          { class: "stack-small" },
          drift.alerts.map(({ text }) => h("li", { class: "fault" }, text)),
        )
      : h("p", { class: "help" }, NO_CHANGE),
    table({
      caption: "Drift by window",
      hideCaption: true,
      rows: drift.windows,
      columns: [
        { head: "Window", cell: (one) => WINDOWS[one.window], heading: true },
        { head: "Questions asked", cell: (one) => count(one.asked), kind: "number" },
        {
          head: `Passed on to the model (training: ${percent(abstained)})`,
          cell: (one) => percent(one.abstained_share),
          kind: "number",
        },
        {
          head: `No agent fits (training: ${percent(outOfScope)})`,
          cell: (one) => percent(one.out_of_scope_share),
          kind: "number",
        },
        { head: "Agents, largest change", cell: (one) => change(one.agents), kind: "wide" },
        {
          head: "Audit samples: the model differs",
          cell: ({ disagreement }) =>
            disagreement.compared
              ? `${percent(disagreement.rate)} of ${count(disagreement.compared)} (at least ${percent(disagreement.low)})`
              : NOTHING,
        },
      ],
    }),
  );
}

function change(agents) {
  if (agents.psi === null) return NOTHING;
  const then = agents.compared_with === "previous" ? "in the 7 days before" : "of its labels";
  return `${agents.agent_id}: ${percent(agents.now)}, ${then} ${percent(agents.before)} (PSI ${agents.psi.toFixed(2)})`;
}
