// Routing tests: the stored file, and its runs against the current or a proposed configuration.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, plural, time } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { callerLabel } from "../parts/callers.js";
import { actionButton, badge, card, facts, pageHead } from "../parts/controls.js";
import { formDialog } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty, errorPanel, load } from "../parts/loading.js";
import { comparable, readModels } from "../parts/models.js";
import { readCallerNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { inPageWords } from "../parts/page_words.js";
import { listTable, table } from "../parts/table.js";
import { address, go } from "../router.js";
import { showRun } from "./routing_tests_one.js";

const RUNS = "/v1/routing-tests/runs";
const NO_CLASSIFIER = "none";

export async function open(page) {
  const [id] = page.path;
  await (id ? showRun(page, id) : list(page));
}

async function list({ root, signal, may }) {
  const stored = h("div", { class: "stack" });
  const runs = h("div", {});
  const admin = may("admin");
  replace(
    root,
    pageHead(
      "Routing tests",
      "Queries with the agent that they must, or must not, be routed to. Run them before each change.",
    ),
    h(
      "div",
      { class: "row" },
      admin ? actionButton("Run tests", () => start(signal), { kind: "main" }) : null,
    ),
    stored,
    runs,
  );
  await readCallerNames({ may, signal });
  const show = () =>
    load(
      stored,
      () => api("GET", "/v1/routing-tests", { signal }),
      (stored) => storedView(stored, admin ? fileForm(signal, show) : null),
      { signal, keep: true },
    );
  await Promise.all([
    show(),
    listTable(runs, {
      caption: "Runs",
      path: RUNS,
      query: { limit: 20 },
      columns: COLUMNS,
      none: () => empty("No runs yet", "Upload a file of tests, then run them."),
      signal,
    }),
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
  { head: "Started by", cell: (run) => callerLabel(run.created_by) },
];

const passedBadge = (run) =>
  run.passed === null
    ? NOTHING
    : badge(run.passed ? "passed" : "failed", run.passed ? "good" : "bad");

function storedView(stored, form) {
  return card(
    "Stored tests",
    facts([
      ["Tests", count(stored.tests)],
      ["SHA-256", stored.sha256 ? `${stored.sha256.slice(0, 12)}…` : null],
      ["Updated", stored.updated_at ? time(stored.updated_at) : null],
      ["Updated by", stored.updated_by],
      ["Unknown or disabled agents", stored.unknown_agents.join(", ") || null],
    ]),
    form,
  );
}

function fileForm(signal, onStored) {
  const report = h("div", { "aria-live": "polite" });
  const input = h("input", { type: "file", id: "tests-file", accept: ".jsonl,.json,.txt" });
  const submit = h("button", { class: "button" }, "Upload");
  const store = async (event) => {
    event.preventDefault();
    const [file] = input.files;
    if (!file) {
      replace(report, h("p", { class: "error" }, "Select a file first."));
      return;
    }
    setBusy(submit, true);
    try {
      const body = new Uint8Array(await file.arrayBuffer());
      const stored = await api("PUT", "/v1/routing-tests", {
        body,
        type: "application/octet-stream",
        signal,
      });
      notice(`${plural(stored.tests, "test")} stored.`);
      await onStored();
    } catch (error) {
      replace(report, errorReport(error));
    } finally {
      setBusy(submit, false);
    }
  };
  return h(
    "form",
    { class: "form", onsubmit: store },
    h("div", { class: "field" }, h("label", { for: "tests-file" }, "Replace with a file"), input),
    report,
    h("div", { class: "row" }, submit),
  );
}

function errorReport(error) {
  const lines = error.details?.errors;
  if (!lines?.length) return errorPanel(error);
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "error" }, error.message),
    table({
      caption: "Errors",
      rows: lines,
      columns: [
        { head: "Line", cell: (each) => count(each.line), heading: true },
        { head: "Error", cell: (each) => inPageWords(each.message), kind: "wide" },
      ],
    }),
  );
}

async function start(signal) {
  const models = comparable(await readModels(signal));
  const options = (filter) => models.filter(filter).map((model) => [model.id, model.id]);
  const made = await formDialog({
    title: "Run tests",
    action: "Run",
    fields: [
      {
        name: "model_id",
        label: "Active model",
        type: "select",
        options: [
          [null, "Current"],
          ...options((model) => model.type !== "classifier" && !model.active),
        ],
        help: "Only for this run: nothing is selected.",
      },
      {
        name: "classifier_id",
        label: "Classifier",
        type: "select",
        options: [
          [null, "Current"],
          [NO_CLASSIFIER, "None"],
          ...options((model) => model.type === "classifier"),
        ],
      },
      {
        name: "labels",
        label: "Use labels as the first layer, as requests do",
        type: "checkbox",
        value: true,
      },
    ],
    onSubmit: ({ model_id: model, classifier_id: classifier, labels }, idempotencyKey) => {
      const body = { labels };
      if (model !== null) body.model_id = model;
      if (classifier !== null)
        body.classifier_id = classifier === NO_CLASSIFIER ? null : classifier;
      return api("POST", RUNS, { body, idempotencyKey });
    },
  });
  if (made) go(["routing_tests", made.id]);
}
