// The results of an evaluation: each contestant, and each pair of them.

import { h } from "../dom.js";
import { count, intervalText, ms, NOTHING, percent, points, usd } from "../format.js";
import { badge } from "../parts/controls.js";
import { table } from "../parts/table.js";
import { contestant, EMULATED } from "./evaluations_names.js";

export function resultsView({ evaluation }) {
  const { models, pairs } = evaluation.results;
  return [
    resultTable(evaluation, models),
    h(
      "p",
      { class: "help" },
      "An out-of-scope query counts as correct only if the model says so. In Analytics a confidence below the threshold counts too.",
    ),
    pairs.length ? pairTable(evaluation, pairs) : null,
  ];
}

function resultTable(evaluation, models) {
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
