// The labels that were given.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING, percent, plural, time } from "../format.js";
import { agentOptions, NO_AGENT, readAgents } from "../parts/agents.js";
import { card } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { pagedTable } from "../parts/table.js";
import { address } from "../router.js";
import { labelActions, votesView } from "./labelling_votes.js";

export async function givenTab({ query, signal }, room) {
  await load(
    room,
    () => readAgents(signal),
    (agents) => {
      const body = h("div", { class: "stack" });
      let shown = null; // the filters as they are when a label has changed
      const show = (state) => {
        shown = state;
        return showPage(body, state, agents, signal, () => show(shown));
      };
      const specs = filterSpecs(agents);
      return [filters({ parts: ["labelling", "given"], specs, query, show, signal }), body];
    },
    { signal },
  );
}

const filterSpecs = (agents) => [
  {
    name: "agent",
    label: "Agent",
    type: "select",
    options: agentOptions(agents, [null, "All"], [NO_AGENT, "No agent fits"]),
  },
  {
    name: "split",
    label: "Part",
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
    label: "Labelers",
    type: "select",
    options: [
      [null, "All"],
      ["true", "They disagree"],
      ["false", "They agree, or one decided"],
    ],
  },
];

function showPage(body, state, agents, signal, showAgain) {
  const asked = { ...state, limit: 50 };
  return load(
    body,
    () =>
      Promise.all([
        api("GET", "/v1/labels", { query: asked, signal }),
        api("GET", "/v1/labels/stats", { signal }),
      ]),
    ([page, stats]) => [
      card("So far", statsView(stats, agents)),
      page.data.length
        ? pagedTable({
            caption: "Labels",
            first: page,
            path: "/v1/labels",
            query: asked,
            signal,
            columns: [
              { head: "Query", cell: (label) => label.query, kind: "wide", heading: true },
              { head: "Agent", cell: (label) => votesView(label, agents) },
              { head: "Part", cell: (label) => label.split },
              { head: "By", cell: (label) => label.labeler },
              {
                head: "From",
                cell: (label) => (label.stream === "random" ? "random sample" : label.source),
              },
              { head: "When", cell: (label) => time(label.created_at) },
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
              { kind: "actions", cell: (label) => labelActions(label, agents, showAgain) },
            ],
          })
        : empty("No label fits these filters", "Give some under “One at a time”."),
    ],
    { signal, keep: true },
  );
}

function statsView({ labels, random, conflicts, splits, agreement, labelers }, agents) {
  return h(
    "p",
    {},
    `${plural(labels, "label")} by ${plural(labelers.length, "labeler")}: ${count(splits.train)} for training, ${count(splits.validation)} for validation, ${count(splits.test)} for tests. ${plural(random, "question was", "questions were")} drawn at random and measure the accuracy. `,
    agreement.pairs
      ? `Where two labelled the same question they agree in ${percent(agreement.share)}${agreement.kappa === null ? "" : ` (Cohen's kappa ${agreement.kappa.toFixed(2)})`}.`
      : `${plural(agents.length, "agent")} can be chosen.`,
    conflicts
      ? ` On ${plural(conflicts, "question")} the labelers disagree: the agent with most votes is in force, of equally many the latest.`
      : null,
  );
}
