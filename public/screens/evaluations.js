// Evaluations: models on held-out labels, side by side.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, percent, time, words } from "../format.js";
import { actionButton, pageHead } from "../parts/controls.js";
import { formDialog } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty, load } from "../parts/loading.js";
import { comparable, readModels } from "../parts/models.js";
import { pagedTable } from "../parts/table.js";
import { address, go } from "../router.js";
import { one } from "./evaluations_one.js";

export async function open(page) {
  const [id] = page.path;
  await (id ? one(page, id) : list(page));
}

async function list({ root, query, signal, may }) {
  const body = h("div", {});
  const begin = () => create(signal, (query.get("models") ?? "").split("\n").filter(Boolean));
  const action = may("admin") ? actionButton("Evaluate models", begin, { kind: "main" }) : null;
  replace(
    root,
    pageHead(
      "Evaluations",
      "Models are put to questions whose labels no training has seen, through the router itself.",
    ),
    h("div", { class: "row" }, action),
    body,
  );
  await load(
    body,
    () => api("GET", "/v1/evaluations", { query: { limit: 20 }, signal }),
    (page) =>
      page.data.length
        ? pagedTable({
            caption: "Evaluations",
            first: page,
            path: "/v1/evaluations",
            query: { limit: 20 },
            signal,
            columns: COLUMNS,
          })
        : empty(
            "Nothing has been evaluated yet",
            "Label some questions first: one in ten or so is held out for evaluations. Then compare the active model with an adapter or another model.",
          ),
    { signal },
  );
  if (query.get("models") && may("admin")) await begin();
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
        h("span", { class: "help" }, one.model_ids.join(", ")),
      ),
  },
  { head: "State", cell: (one) => stateBadge(one.state) },
  { head: "Part", cell: (one) => words(one.split) },
  { head: "Questions", cell: (one) => count(one.labels), kind: "number" },
  {
    head: "Right",
    cell: (one) =>
      one.results?.models.map((model) => h("div", {}, percent(model.accuracy.accuracy))) ?? NOTHING,
    kind: "number",
  },
  { head: "By", cell: (one) => one.created_by },
];

async function create(signal, chosen) {
  const models = comparable(await readModels(signal));
  const active = models.find((model) => model.active && model.type !== "classifier");
  const made = await formDialog({
    title: "Evaluate models",
    action: "Begin",
    fields: [
      {
        name: "model_ids",
        label: "Models and classifiers, five at most",
        type: "checks",
        required: true,
        value: chosen.length ? chosen : [active?.id],
        options: models.map((model) => [model.id, model.id]),
      },
      {
        name: "target",
        label: "What is evaluated",
        type: "select",
        value: "models",
        options: [
          ["models", "Each model alone"],
          ["pipeline", "The pipeline as it is, and with each of them"],
        ],
        help: "The pipeline is the classifier, the model with its fallbacks, and the threshold.",
      },
      {
        name: "split",
        label: "Part of the labels",
        type: "select",
        value: "test",
        options: [
          ["test", "Test: no training sees it"],
          ["validation", "Validation"],
          ["held_out", "Both"],
        ],
      },
      {
        name: "limit",
        label: "Questions, at most",
        type: "number",
        min: 1,
        max: 5000,
        help: "The same ones each time. Each is one call of each model.",
      },
    ],
    onSubmit: ({ limit, model_ids: ids, ...body }, once) => {
      const others = ids.filter((id) => id !== active?.id);
      body.model_ids = body.target === "pipeline" ? ["pipeline", ...others] : ids;
      return api("POST", "/v1/evaluations", {
        body: limit === null ? body : { ...body, limit },
        once,
      });
    },
  });
  if (made) go(["evaluations", made.id]);
}
