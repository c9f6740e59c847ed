// Drift: whether the traffic still looks like the labels that the active classifier was trained on.

import { h } from "../dom.js";
import { count, NOTHING, percent } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { card } from "../parts/controls.js";
import { table } from "../parts/table.js";

const WINDOWS = { "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days" };
const NO_CHANGE = "No significant change.";

/** Null if no classifier is active. */
export function driftCard(drift) {
  if (!drift) return null;
  const { training_abstained_share: abstained, training_out_of_scope_share: outOfScope } = drift;
  return card(
    "Drift",
    drift.alerts.length
      ? h(
          "ul",
          { class: "stack-small" },
          drift.alerts.map(({ text }) => h("li", { class: "error" }, text)),
        )
      : h("p", { class: "help" }, NO_CHANGE),
    table({
      caption: "Drift by window",
      hideCaption: true,
      rows: drift.windows,
      columns: [
        { head: "Window", cell: (one) => WINDOWS[one.window], heading: true },
        { head: "Queries", cell: (one) => count(one.asked), kind: "number" },
        {
          head: `Passed to the LLM (training: ${percent(abstained)})`,
          cell: (one) => percent(one.abstained_share),
          kind: "number",
        },
        {
          head: `Out of scope (training: ${percent(outOfScope)})`,
          cell: (one) => percent(one.out_of_scope_share),
          kind: "number",
        },
        {
          head: "Largest change of an agent's share",
          cell: (one) => change(one.agents),
          kind: "wide",
        },
        {
          head: "Audit samples: LLM disagrees",
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
  const baseline = agents.compared_with === "previous" ? "previous 7 days" : "labels";
  return `${agentLabel(agents.agent_id)}: ${percent(agents.now)}, ${baseline} ${percent(agents.before)} (PSI ${agents.psi.toFixed(2)})`;
}
