// One run of the routing tests: failed tests, and changes since the previous run.

import { h, replace } from "../dom.js";
import { count, NOTHING, percent, time, words } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { badge, card, facts, pageHead, progressBar } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { cancelButton, followJob, isActive, stateBadge } from "../parts/job.js";
import { readNames } from "../parts/names.js";
import { filteredTable } from "../parts/table.js";

const FLIPS = { broken: "bad", fixed: "good", changed: "warn" };

export async function showRun({ root, signal, may }, id) {
  const path = `/v1/routing-tests/runs/${encodeURIComponent(id)}`;
  const body = h("div", { class: "stack" });
  const results = h("div", {});
  replace(root, pageHead("Test run"), body, results);
  const render = (run, follow) => {
    if (run.outcome) replace(results, resultsTable(path, signal));
    return view(run, may, path, follow);
  };
  await readNames({ may, signal });
  await followJob(body, path, render, { signal });
}

function view(run, may, path, follow) {
  const { outcome, flips } = run;
  const running = isActive(run.state);
  return card(
    null,
    facts([
      ["State", stateBadge(run.state)],
      [
        "Result",
        run.passed === null
          ? null
          : badge(run.passed ? "passed" : "failed", run.passed ? "good" : "bad"),
      ],
      ["Passed", outcome ? `${outcome.passed} of ${outcome.tests}` : null],
      ["Errors", outcome?.errors ? count(outcome.errors) : null],
      [
        "Since the previous run",
        flips ? `${flips.broken} broken, ${flips.fixed} fixed, ${flips.changed} changed` : null,
      ],
      ["Active model", run.active],
      ["Classifier", run.classifier ?? "none"],
      ["Threshold", percent(run.threshold)],
      ["Label layer", run.labels ? "on" : "off"],
      ["Changed agents", run.changes.agents?.map((each) => agentLabel(each.id)).join(", ") ?? null],
      ["Started", time(run.created_at)],
      ["Ended", run.finished_at ? time(run.finished_at) : null],
      ["Started by", callerLabel(run.created_by)],
    ]),
    run.error ? h("p", { class: "error" }, run.error) : null,
    running
      ? progressBar(`${run.done} of ${run.tests}`, run.tests ? run.done / run.tests : 0)
      : null,
    running && may("admin") ? h("div", { class: "row" }, cancelButton(path, follow)) : null,
  );
}

function resultsTable(run, signal) {
  const only = field({
    name: "only",
    label: "Show",
    type: "select",
    value: "failed",
    options: [
      ["failed", "Failed tests"],
      ["flips", "Tests that changed since the previous run"],
      [null, "All tests"],
    ],
  });
  return filteredTable(only, {
    caption: "Tests",
    path: `${run}/results`,
    queryOf: (value) => ({ only: value, limit: 20 }),
    columns: COLUMNS,
    none: () => h("p", { class: "muted" }, "None."),
    signal,
  });
}

const COLUMNS = [
  {
    head: "Query",
    heading: true,
    kind: "wide",
    cell: ({ test }) =>
      h(
        "div",
        { class: "stack-small" },
        h("span", {}, test.query),
        test.name ? h("span", { class: "help" }, test.name) : null,
      ),
  },
  {
    head: "Expected",
    cell: ({ test }) =>
      [
        "expect" in test ? (test.expect === null ? "no agent" : agentLabel(test.expect)) : null,
        test.must_not ? `not ${test.must_not.map(agentLabel).join(", ")}` : null,
      ]
        .filter(Boolean)
        .join("; "),
  },
  { head: "Routed to", cell: (each) => (each.agent ? agentLabel(each.agent) : NOTHING) },
  { head: "Layer", cell: (each) => words(each.layer) },
  { head: "Reason", cell: (each) => words(each.reason) },
  {
    head: "Result",
    cell: (each) => badge(each.passed ? "passed" : "failed", each.passed ? "good" : "bad"),
  },
  {
    head: "Change",
    cell: (each) =>
      each.flip
        ? [
            badge(each.flip, FLIPS[each.flip]),
            ` was ${each.before_agent ? agentLabel(each.before_agent) : NOTHING}`,
          ]
        : NOTHING,
  },
];
