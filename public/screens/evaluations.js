// Evaluations: comparisons of models on held-out labels.

import { h, replace } from "../dom.js";
import { count, intervalText, percent, time, words } from "../format.js";
import { callerLabel } from "../parts/callers.js";
import { actionButton, pageHead } from "../parts/controls.js";
import { stateBadge } from "../parts/job.js";
import { empty } from "../parts/loading.js";
import { readCallerNames } from "../parts/names.js";
import { listTable } from "../parts/table.js";
import { address } from "../router.js";
import { contestant } from "./evaluations_names.js";
import { newEvaluation } from "./evaluations_new.js";
import { showEvaluation } from "./evaluations_one.js";

export async function open(page) {
  const [id] = page.path;
  await (id ? showEvaluation(page, id) : list(page));
}

async function list({ root, query, signal, may }) {
  const body = h("div", {});
  const start = () =>
    newEvaluation(signal, (query.get("models") ?? "").split("\n").filter(Boolean));
  const action = may("admin") ? actionButton("New evaluation", start, { kind: "main" }) : null;
  replace(
    root,
    pageHead(
      "Evaluations",
      "Compare models, classifiers and the router itself on labeled queries that no training has used.",
    ),
    h("div", { class: "row" }, action),
    body,
  );
  await readCallerNames({ may, signal });
  await listTable(body, {
    caption: "Evaluations",
    path: "/v1/evaluations",
    query: { limit: 20 },
    columns: COLUMNS,
    none: () =>
      empty(
        "No evaluations yet",
        "Label some queries first: about one in ten is held out for evaluations.",
      ),
    signal,
  });
  if (query.get("models") && may("admin")) await start();
}

const COLUMNS = [
  {
    head: "Evaluation",
    heading: true,
    cell: (one) =>
      h(
        "div",
        { class: "stack-small" },
        h("a", { href: address(["evaluations", one.id]) }, time(one.created_at)),
        one.router ? h("span", { class: "help" }, `router ${one.router}`) : null,
      ),
  },
  {
    head: "Contestants and their accuracy",
    kind: "wide",
    cell: (one) => one.model_ids.map((id) => contestantLine(one, id)),
  },
  { head: "State", cell: (one) => stateBadge(one.state) },
  { head: "Split", cell: (one) => words(one.split) },
  { head: "Queries", cell: (one) => count(one.labels), kind: "number" },
  { head: "Started by", cell: (one) => callerLabel(one.created_by) },
];

function contestantLine(evaluation, id) {
  const result = evaluation.results?.models.find((model) => model.model_id === id);
  return h(
    "div",
    {},
    contestant(evaluation, id),
    result
      ? [
          h("strong", {}, ` ${percent(result.accuracy.accuracy)} `),
          h("span", { class: "help" }, intervalText(result.accuracy)),
        ]
      : null,
  );
}
