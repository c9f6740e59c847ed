// The results of an evaluation: each contestant, and each pair of them.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, intervalText, ms, NOTHING, percent, points, usd } from "../format.js";
import { badge, button } from "../parts/controls.js";
import { load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { table } from "../parts/table.js";
import { contestant, EMULATED, PIPELINE } from "./evaluations_names.js";
import { select } from "./models_select.js";

export function resultsView({ evaluation, signal, may }) {
  const { models, pairs } = evaluation.results;
  return [
    resultTable(evaluation, models, mayBeSelected(evaluation, may) ? selectColumn(signal) : null),
    h(
      "p",
      { class: "help" },
      "An out-of-scope query counts as correct only if the model says so. In Analytics a confidence below the threshold counts too.",
    ),
    pairs.length ? pairTable(evaluation, pairs) : null,
  ];
}

/** What is selected is that of the installation: a router has its own settings, but no model of its own. */
const mayBeSelected = (evaluation, may) => may("admin") && !evaluation.router;

/** What is selected now, and a button that selects another contestant, after the promotion check. */
function selectColumn(signal) {
  const containers = new Map();
  const read = () => Promise.all([api("GET", "/v1/models/select", { signal }), readModels(signal)]);
  let known = read();
  const draw = (id) =>
    load(
      containers.get(id),
      () => known,
      ([selection, models]) => selectState(id, selection, models, drawAll, signal),
      { signal, keep: true },
    );
  const drawAll = () => {
    known = read();
    return Promise.all([...containers.keys()].map(draw));
  };
  return {
    kind: "actions",
    cell({ model_id: id }) {
      if (id === PIPELINE) return null;
      containers.set(id, h("div", {}));
      draw(id);
      return containers.get(id);
    },
  };
}

function selectState(id, selection, models, drawAll, signal) {
  const model = models.find((each) => each.id === id);
  if (model?.status !== "available") return badge("not available");
  if (id === selection.active) return badge("active", "good");
  if (id === selection.classifier) return badge("enabled", "good");
  return button("Select this", () => select(model, selection, models, drawAll, signal), {
    size: "small",
    label: `Select this: ${id}`,
  });
}

function resultTable(evaluation, models, selecting) {
  const deferring = models.some((model) => model.deferred);
  return table({
    caption: "Results",
    rows: models,
    columns: [
      {
        head: "Contestant",
        cell: (model) => contestant(evaluation, model.model_id),
        heading: true,
        kind: "wide",
      },
      {
        head: "Accuracy, 95 % interval",
        cell: (model) => share(model.accuracy),
        kind: "number",
      },
      ...(deferring
        ? [
            { head: "Deferred", cell: (model) => count(model.deferred), kind: "number" },
            {
              head: "Precision, 95 % interval",
              cell: (model) => share(model.precision),
              kind: "number",
            },
          ]
        : []),
      { head: "Macro F1", cell: (model) => percent(model.macro_f1), kind: "number" },
      { head: "Failed", cell: (model) => count(model.failed), kind: "number" },
      { head: "Below threshold", cell: (model) => count(model.low_confidence), kind: "number" },
      { head: "Tokens", cell: (model) => count(model.tokens), kind: "number" },
      { head: "Cost", cell: costText, kind: "number" },
      {
        head: "Latency p50, p95",
        cell: (model) => [ms(model.p50_ms), h("div", {}, ms(model.p95_ms))],
        kind: "number",
      },
      ...(selecting ? [selecting] : []),
    ],
  });
}

/** A share with what it is worth below it. */
const share = (accuracy) =>
  accuracy
    ? [percent(accuracy.accuracy), h("div", { class: "help" }, intervalText(accuracy))]
    : NOTHING;

function costText({ emulated, cost_usd: cost }) {
  if (emulated) return EMULATED;
  return cost === null ? "no price" : usd(cost);
}

function pairTable(evaluation, pairs) {
  const name = (id) => contestant(evaluation, id);
  return table({
    caption: "Pairwise comparison",
    rows: pairs,
    columns: [
      {
        head: "Pair",
        cell: (pair) => `${name(pair.second)} vs. ${name(pair.first)}`,
        heading: true,
        kind: "wide",
      },
      { head: "Queries", cell: (pair) => count(pair.n), kind: "number" },
      { head: "Difference", cell: (pair) => points(pair.difference), kind: "number" },
      {
        head: "95 % interval",
        cell: (pair) => `${points(pair.low)} to ${points(pair.high)}`,
        kind: "number",
      },
      { head: "Only first correct", cell: (pair) => count(pair.only_first), kind: "number" },
      { head: "Only second correct", cell: (pair) => count(pair.only_second), kind: "number" },
      { head: "McNemar p", cell: (pair) => pair.p.toPrecision(2), kind: "number" },
      { head: "Significant", cell: (pair) => verdict(pair.difference, pair.p) },
    ],
  });
}

/** Whether a difference is more than chance, at the level of 5 %. */
export function verdict(difference, p) {
  if (p >= 0.05) return badge("no");
  return difference > 0 ? badge("better", "good") : badge("worse", "bad");
}
