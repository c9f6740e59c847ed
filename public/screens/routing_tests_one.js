// One run of the routing tests: what failed, and what flipped since the run before.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, percent, time, words } from "../format.js";
import { badge, card, facts, link, pageHead, progressBar } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { cancelButton, stateBadge, underWay } from "../parts/job.js";
import { load, polling } from "../parts/loading.js";
import { pagedTable } from "../parts/table.js";

const FLIPS = { broken: "bad", fixed: "good", changed: "warn" };

export async function one({ root, signal, may }, id) {
  const path = `/v1/routing-tests/runs/${encodeURIComponent(id)}`;
  const body = h("div", { class: "stack" });
  const results = h("div", {});
  replace(
    root,
    pageHead("Run of the tests", null, link("All runs", "#/routing_tests", { size: "small" })),
    body,
    results,
  );
  let run = null;
  const show = async () => {
    const shown = await load(
      body,
      () => api("GET", path, { signal }),
      (found) => {
        if (found.outcome && run?.outcome == null) showResults(results, path, signal);
        run = found;
        return view(found, may, path, follow);
      },
      { signal, keep: true, steady: true, retry: () => follow() },
    );
    return shown && run !== null && underWay(run.state);
  };
  const follow = polling(show, { signal });
  await follow();
}

function view(run, may, path, follow) {
  const { outcome, flips } = run;
  const running = underWay(run.state);
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
      ["Not answered", outcome?.errors ? count(outcome.errors) : null],
      [
        "Since the run before",
        flips ? `${flips.broken} broken, ${flips.fixed} fixed, ${flips.changed} changed` : null,
      ],
      ["Active model", run.active],
      ["Classifier", run.classifier ?? "none"],
      ["Threshold", percent(run.threshold)],
      ["Labels decide", run.labels ? "yes" : "no"],
      ["Agents changed", run.changes.agents?.map((each) => each.id).join(", ") ?? null],
      ["Begun", time(run.created_at)],
      ["Ended", run.finished_at ? time(run.finished_at) : null],
      ["By", run.created_by],
    ]),
    run.error ? h("p", { class: "fault" }, run.error) : null,
    running
      ? progressBar(`${run.done} of ${run.tests}`, run.tests ? run.done / run.tests : 0)
      : null,
    running && may("admin") ? h("div", { class: "row" }, cancelButton(path, follow)) : null,
  );
}

function showResults(room, run, signal) {
  const path = `${run}/results`;
  const only = field({
    name: "only",
    label: "Tests",
    type: "select",
    value: "failed",
    options: [
      ["failed", "that failed"],
      ["flips", "that flipped since the run before"],
      [null, "all"],
    ],
  });
  const body = h("div", {});
  const show = () => {
    const query = { only: only.value(), limit: 20 };
    return load(
      body,
      () => api("GET", path, { query, signal }),
      (page) =>
        page.data.length
          ? pagedTable({ caption: "Tests", first: page, path, query, signal, columns: COLUMNS })
          : h("p", { class: "soft" }, "There are none."),
      { signal, keep: true },
    );
  };
  only.element.addEventListener("change", show);
  replace(
    room,
    card(null, h("div", { class: "stack" }, h("div", { class: "filters" }, only.element), body)),
  );
  show();
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
        "expect" in test ? (test.expect ?? "no agent") : null,
        test.must_not ? `not ${test.must_not.join(", ")}` : null,
      ]
        .filter(Boolean)
        .join("; "),
  },
  { head: "Decided", cell: (each) => each.agent ?? NOTHING },
  { head: "Layer", cell: (each) => words(each.layer) },
  { head: "Reason", cell: (each) => words(each.reason) },
  {
    head: "Result",
    cell: (each) => badge(each.passed ? "passed" : "failed", each.passed ? "good" : "bad"),
  },
  {
    head: "Before",
    cell: (each) =>
      each.flip
        ? [badge(each.flip, FLIPS[each.flip]), ` ${each.before_agent ?? NOTHING}`]
        : NOTHING,
  },
];
