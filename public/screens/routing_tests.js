// Routing tests: the file that is stored, and its runs against the configuration or a proposed one.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, plural, time } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { actionButton, badge, card, facts, pageHead } from "../parts/controls.js";
import { formDialog } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty, errorPanel, load } from "../parts/loading.js";
import { comparable, readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { pagedTable, table } from "../parts/table.js";
import { address, go } from "../router.js";
import { one } from "./routing_tests_one.js";

const RUNS = "/v1/routing-tests/runs";
const NO_CLASSIFIER = "none";

export async function open(page) {
  const [id] = page.path;
  await (id ? one(page, id) : list(page));
}

async function list({ root, signal, may }) {
  const stored = h("div", { class: "stack" });
  const runs = h("div", {});
  const admin = may("admin");
  replace(
    root,
    pageHead(
      "Routing tests",
      "Questions with the agent that must answer, or must not. Keep them in a file beside your agents, and run them before each change.",
    ),
    h(
      "div",
      { class: "row" },
      admin ? actionButton("Run the tests", () => begin(signal), { kind: "main" }) : null,
    ),
    stored,
    runs,
  );
  const show = () =>
    load(
      stored,
      () => api("GET", "/v1/routing-tests", { signal }),
      (found) => storedView(found, admin ? fileForm(signal, show) : null),
      { signal, keep: true },
    );
  await Promise.all([
    show(),
    load(
      runs,
      () => api("GET", RUNS, { query: { limit: 20 }, signal }),
      (page) =>
        page.data.length
          ? pagedTable({
              caption: "Runs",
              first: page,
              path: RUNS,
              query: { limit: 20 },
              signal,
              columns: COLUMNS,
            })
          : empty("The tests have not been run yet", "Store a file of tests, then run them."),
      { signal },
    ),
  ]);
}

const COLUMNS = [
  {
    head: "Run",
    heading: true,
    kind: "wide",
    cell: (run) =>
      h(
        "div",
        { class: "stack-small" },
        h("a", { href: address(["routing_tests", run.id]) }, time(run.created_at)),
        h("span", { class: "help" }, `${run.active}, classifier ${run.classifier ?? "none"}`),
      ),
  },
  { head: "State", cell: (run) => stateBadge(run.state) },
  { head: "Result", cell: (run) => passedBadge(run) },
  {
    head: "Passed",
    cell: (run) => (run.outcome ? `${run.outcome.passed} of ${run.tests}` : NOTHING),
    kind: "number",
  },
  { head: "By", cell: (run) => run.created_by },
];

const passedBadge = (run) =>
  run.passed === null
    ? NOTHING
    : badge(run.passed ? "passed" : "failed", run.passed ? "good" : "bad");

function storedView(found, form) {
  return card(
    "The stored tests",
    facts([
      ["Tests", count(found.tests)],
      ["SHA-256", found.sha256 ? `${found.sha256.slice(0, 12)}…` : null],
      ["Stored", found.updated_at ? time(found.updated_at) : null],
      ["By", found.updated_by],
      ["Agents that are not enabled", found.unknown_agents.join(", ") || null],
    ]),
    form,
  );
}

function fileForm(signal, onStored) {
  const report = h("div", { "aria-live": "polite" });
  const input = h("input", { type: "file", id: "tests-file", accept: ".jsonl,.json,.txt" });
  const submit = h("button", { class: "button" }, "Store");
  const store = async (event) => {
    event.preventDefault();
    const [file] = input.files;
    if (!file) {
      replace(report, h("p", { class: "fault" }, "Choose a file first."));
      return;
    }
    setBusy(submit, true);
    try {
      const body = new Uint8Array(await file.arrayBuffer());
      const found = await api("PUT", "/v1/routing-tests", {
        body,
        type: "application/octet-stream",
        signal,
      });
      notice(`${plural(found.tests, "test")} stored.`);
      await onStored();
    } catch (error) {
      replace(report, faults(error));
    } finally {
      setBusy(submit, false);
    }
  };
  return h(
    "form",
    { class: "form", onsubmit: store },
    h(
      "div",
      { class: "field" },
      h("label", { for: "tests-file" }, "A file of tests, which replaces those"),
      input,
    ),
    report,
    h("div", { class: "row" }, submit),
  );
}

function faults(error) {
  const lines = error.details?.errors;
  if (!lines?.length) return errorPanel(error);
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "fault" }, error.message),
    table({
      caption: "Lines at fault",
      rows: lines,
      columns: [
        { head: "Line", cell: (fault) => count(fault.line), heading: true },
        { head: "What is wrong", cell: (fault) => fault.message, kind: "wide" },
      ],
    }),
  );
}

async function begin(signal) {
  const models = comparable(await readModels(signal));
  const named = (wanted) => models.filter(wanted).map((model) => [model.id, model.id]);
  const made = await formDialog({
    title: "Run the tests",
    action: "Begin",
    fields: [
      {
        name: "model_id",
        label: "Active model",
        type: "select",
        options: [
          [null, "As it is"],
          ...named((model) => model.type !== "classifier" && !model.active),
        ],
        help: "Nothing is selected: it is tried alone.",
      },
      {
        name: "classifier_id",
        label: "Classifier",
        type: "select",
        options: [
          [null, "As it is"],
          [NO_CLASSIFIER, "None"],
          ...named((model) => model.type === "classifier"),
        ],
      },
      {
        name: "labels",
        label: "Labels decide, as for a request",
        type: "checkbox",
        value: true,
      },
    ],
    onSubmit: ({ model_id: model, classifier_id: classifier, labels }, once) => {
      const body = { labels };
      if (model !== null) body.model_id = model;
      if (classifier !== null)
        body.classifier_id = classifier === NO_CLASSIFIER ? null : classifier;
      return api("POST", RUNS, { body, once });
    },
  });
  if (made) go(["routing_tests", made.id]);
}
