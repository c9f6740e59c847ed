// Labels that the newest training considers wrong.

import { api } from "../api.js";
import { percent } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { contextLine } from "../parts/context.js";
import { actionButton, card } from "../parts/controls.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";

/** Each with a button to correct it, and one to keep it. */
export function suspectTable(suspects, { may, show }) {
  const relabel = (one, agent) => async () => {
    const { query, context } = one;
    await api("POST", "/v1/labels", { body: [{ query, context, agent_id: agent }] });
    notice("Label saved.");
    await show();
  };
  return card(
    "Labels that may be wrong",
    table({
      caption: "In cross-validation the classifier was confident of another agent",
      rows: suspects.data,
      columns: [
        {
          head: "Query",
          cell: (one) => [contextLine(one), one.query],
          heading: true,
          kind: "wide",
        },
        { head: "Label", cell: (one) => agentLabel(one.agent_id) },
        {
          head: "Classifier",
          cell: (one) => `${agentLabel(one.predicted)}, ${percent(one.score)}`,
        },
        {
          head: "Actions",
          kind: "actions",
          cell: (one) =>
            may("label")
              ? [
                  actionButton("Correct", relabel(one, one.predicted), {
                    size: "small",
                    label: `Correct ${one.query} to ${agentLabel(one.predicted)}`,
                  }),
                  actionButton("Keep", relabel(one, one.agent_id), {
                    size: "small",
                    kind: "plain",
                    label: `Keep the label of ${one.query}`,
                  }),
                ]
              : null,
        },
      ],
    }),
  );
}
