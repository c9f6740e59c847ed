// Two contestants of an evaluation, compared by the agent of the label.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING, percent, plural, points } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { card } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { table } from "../parts/table.js";
import { contestantOptions } from "./evaluations_names.js";
import { verdict } from "./evaluations_results.js";

export function differencesCard(evaluation, signal) {
  const [first, second] = evaluation.model_ids;
  const options = contestantOptions(evaluation);
  const sides = [
    field({ name: "first", label: "A", type: "select", value: first, options }),
    field({ name: "second", label: "B", type: "select", value: second, options }),
  ];
  const result = h("div", {});
  const show = () => {
    const [one, other] = sides.map((side) => side.value());
    load(
      result,
      async () =>
        one === other
          ? null
          : api("GET", `/v1/evaluations/${evaluation.id}/differences`, {
              query: { first: one, second: other },
              signal,
            }),
      (found) => (found ? view(found) : h("p", { class: "muted" }, "Choose two different ones.")),
      { signal, keep: true },
    );
  };
  for (const side of sides) side.element.addEventListener("change", show);
  show();
  return card(
    "Differences by agent",
    h(
      "div",
      { class: "filters" },
      sides.map((side) => side.element),
    ),
    result,
  );
}

function view({ n, agents }) {
  const changed = agents.filter((agent) => agent.only_first || agent.only_second);
  const same = agents.length - changed.length;
  if (!changed.length)
    return h("p", { class: "muted" }, `None: both are right on the same of ${queries(n)}.`);
  return h(
    "div",
    { class: "stack-small" },
    table({
      caption: "Differences by agent",
      hideCaption: true,
      rows: changed,
      columns: [
        { head: "Agent", cell: (row) => agentLabel(row.agent), heading: true },
        { head: "Queries", cell: (row) => count(row.n), kind: "number" },
        { head: "Right, A", cell: (row) => rightText(row.right_first, row.n), kind: "number" },
        { head: "Right, B", cell: (row) => rightText(row.right_second, row.n), kind: "number" },
        { head: "B − A", cell: (row) => points(row.difference), kind: "number" },
        {
          head: "95 % interval",
          cell: ({ low, high }) => (low === null ? NOTHING : `${points(low)} to ${points(high)}`),
          kind: "number",
        },
        { head: "p, adjusted", cell: (row) => row.p_adjusted.toPrecision(2), kind: "number" },
        { head: "Significant", cell: (row) => verdict(row.difference, row.p_adjusted) },
      ],
    }),
    h(
      "p",
      { class: "help" },
      [
        `${queries(n)} that both decided on.`,
        same ? `${plural(same, "agent")} without a difference.` : null,
        "No interval: fewer than 20 queries. The p of McNemar's test is adjusted for the number of agents (Holm).",
      ]
        .filter(Boolean)
        .join(" "),
    ),
  );
}

const queries = (n) => plural(n, "query", "queries");

const rightText = (right, n) => `${count(right)} (${percent(right / n)})`;
