// All labels, with filters and statistics.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING, percent } from "../format.js";
import { agentOptions, NO_AGENT, OUT_OF_SCOPE, readAgents } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { contextLine } from "../parts/context.js";
import { card, facts } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { readCallerNames } from "../parts/names.js";
import { pagedTable } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";
import { labelActions, votesView } from "./labeling_votes.js";

export async function labelsTab({ query, signal, may }, container) {
  await load(
    container,
    () => Promise.all([readAgents(signal), readCallerNames({ may, signal })]),
    ([agents]) => {
      const body = h("div", { class: "stack" });
      let shown = null; // the current filters, to reload the table after a change
      const show = (state) => {
        shown = state;
        return showPage(body, state, agents, signal, () => show(shown));
      };
      const specs = filterSpecs(agents);
      return [filters({ parts: ["labeling", "labels"], specs, query, show, signal }), body];
    },
    { signal },
  );
}

const filterSpecs = (agents) => [
  {
    name: "agent",
    label: "Agent",
    type: "select",
    options: agentOptions(agents, [null, "All"], [NO_AGENT, OUT_OF_SCOPE]),
  },
  {
    name: "split",
    label: "Split",
    type: "select",
    options: [
      [null, "All"],
      ["train", "Training"],
      ["validation", "Validation"],
      ["test", "Test"],
    ],
  },
  {
    name: "conflicts",
    label: "Agreement",
    type: "select",
    options: [
      [null, "All"],
      ["true", "Labelers disagree"],
      ["false", "No conflict"],
    ],
  },
  { name: "q", label: "Search queries", placeholder: "part of the text", live: true },
];

function showPage(body, state, agents, signal, reload) {
  const query = { ...state, limit: 50 };
  return load(
    body,
    () =>
      Promise.all([
        api("GET", "/v1/labels", { query, signal }),
        api("GET", "/v1/labels/stats", { signal }),
      ]),
    ([page, stats]) => [
      card("Summary", statsView(stats)),
      page.data.length
        ? pagedTable({
            caption: "Labels",
            first: page,
            path: "/v1/labels",
            query,
            signal,
            columns: [
              {
                head: "Query",
                cell: (label) => [contextLine(label), label.query],
                kind: "wide",
                heading: true,
              },
              { head: "Agent", cell: (label) => votesView(label, agents) },
              { head: "Split", cell: (label) => label.split },
              { head: "Labeler", cell: (label) => callerLabel(label.labeler) },
              {
                head: "Source",
                cell: (label) => (label.stream === "random" ? "random sample" : label.source),
              },
              { head: "Time", cell: (label) => when(label.created_at) },
              {
                head: "Log",
                cell: (label) =>
                  label.log_id
                    ? h(
                        "a",
                        {
                          href: address(["logs", label.log_id]),
                          "aria-label": `Open the log of ${label.query.slice(0, 60)}`,
                        },
                        "Open",
                      )
                    : NOTHING,
              },
              { kind: "actions", cell: (label) => labelActions(label, agents, reload) },
            ],
          })
        : empty("No labels match these filters", "Add labels under “Queue”."),
    ],
    { signal, keep: true },
  );
}

function statsView({ labels, random, conflicts, splits, agreement, labelers }) {
  const { share, kappa, pairs } = agreement;
  return facts([
    ["Labels", count(labels)],
    ["Labelers", count(labelers.length)],
    [
      "Train / validation / test",
      `${count(splits.train)} / ${count(splits.validation)} / ${count(splits.test)}`,
    ],
    ["Random sample", count(random)],
    [
      "Agreement of labelers",
      pairs
        ? `${percent(share)}${kappa === null ? "" : ` (Cohen's kappa ${kappa.toFixed(2)})`}`
        : null,
    ],
    ["Conflicts", conflicts ? `${count(conflicts)}: the majority is in force` : null],
  ]);
}
