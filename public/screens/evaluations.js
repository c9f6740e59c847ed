// Evaluations: comparisons of models on held-out labels.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, intervalText, NOTHING, percent, time, words } from "../format.js";
import { actionButton, pageHead } from "../parts/controls.js";
import { formDialog } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty } from "../parts/loading.js";
import { comparable, readModels } from "../parts/models.js";
import { readRouters, routerField } from "../parts/routers.js";
import { listTable } from "../parts/table.js";
import { address, go } from "../router.js";
import { contestant } from "./evaluations_names.js";
import { showEvaluation } from "./evaluations_one.js";

export async function open(page) {
  const [id] = page.path;
  await (id ? showEvaluation(page, id) : list(page));
}

async function list({ root, query, signal, may }) {
  const body = h("div", {});
  const start = () => create(signal, (query.get("models") ?? "").split("\n").filter(Boolean));
  const action = may("admin") ? actionButton("New evaluation", start, { kind: "main" }) : null;
  replace(
    root,
    pageHead("Evaluations", "Compare models on labeled queries that no training has used."),
    h("div", { class: "row" }, action),
    body,
  );
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
    kind: "wide",
    cell: (one) =>
      h(
        "div",
        { class: "stack-small" },
        h("a", { href: address(["evaluations", one.id]) }, time(one.created_at)),
        one.model_ids.map((id) => h("span", { class: "help" }, contestant(one, id))),
        one.router ? h("span", { class: "help" }, `router ${one.router}`) : null,
      ),
  },
  { head: "State", cell: (one) => stateBadge(one.state) },
  { head: "Split", cell: (one) => words(one.split) },
  { head: "Queries", cell: (one) => count(one.labels), kind: "number" },
  {
    head: "Accuracy",
    cell: (one) => one.results?.models.map(({ accuracy }) => accuracyOf(accuracy)) ?? NOTHING,
    kind: "number",
  },
  { head: "Started by", cell: (one) => one.created_by },
];

const accuracyOf = (accuracy) =>
  h(
    "div",
    {},
    percent(accuracy.accuracy),
    h("span", { class: "help" }, ` (${intervalText(accuracy)})`),
  );

async function create(signal, chosen) {
  const [all, routers] = await Promise.all([readModels(signal), readRouters(signal)]);
  const models = comparable(all);
  const active = models.find((model) => model.active && model.type !== "classifier");
  const made = await formDialog({
    title: "New evaluation",
    action: "Run evaluation",
    fields: [
      {
        name: "model_ids",
        label: "Models and classifiers (max 5)",
        type: "checks",
        required: true,
        value: chosen.length ? chosen : [active?.id],
        options: models.map((model) => [model.id, model.id]),
      },
      {
        name: "target",
        label: "Target",
        type: "select",
        value: "models",
        options: [
          ["models", "Each model alone"],
          ["pipeline", "The current pipeline, and the pipeline with each model"],
        ],
        help: "The pipeline is the classifier, the model with its fallback models, and the threshold.",
      },
      {
        name: "split",
        label: "Split",
        type: "select",
        value: "test",
        options: [
          ["test", "Test"],
          ["validation", "Validation"],
          ["held_out", "Both"],
        ],
      },
      {
        name: "limit",
        label: "Sample size",
        type: "number",
        min: 1,
        max: 5000,
        help: "Always the same queries. Each model is called once per query. Empty: all.",
      },
      ...routerField(routers, "Its agents and settings, and the labels of its agents."),
    ],
    onSubmit: ({ limit, model_ids: ids, ...body }, idempotencyKey) => {
      const others = ids.filter((id) => id !== active?.id);
      body.model_ids = body.target === "pipeline" ? ["pipeline", ...others] : ids;
      return api("POST", "/v1/evaluations", {
        body: limit === null ? body : { ...body, limit },
        idempotencyKey,
      });
    },
  });
  if (made) go(["evaluations", made.id]);
}
