// The results of an evaluation by group of queries and by threshold.

import { h } from "../dom.js";
import { count, NOTHING, percent, plural } from "../format.js";
import { chart } from "../parts/chart.js";
import { card } from "../parts/controls.js";
import { table } from "../parts/table.js";

const SHOWN_STEPS = 10; // every tenth of the 100 thresholds is a row of the table

export function details({ slices, sweep, labels, threshold }, signal) {
  return [
    slices?.length ? slicesTable(slices) : null,
    sweep?.length
      ? h(
          "div",
          { class: "columns" },
          sweep.map((each) => sweepCard(each, labels, threshold, signal)),
        )
      : null,
  ];
}

/** A row for each slice, with a column for each model. */
function slicesTable(slices) {
  const rows = new Map();
  for (const { model_id: model, slices: found } of slices) {
    for (const each of found) {
      const key = `${each.by} ${each.value}`;
      if (!rows.has(key)) rows.set(key, { by: each.by, value: each.value, n: each.n, models: {} });
      rows.get(key).models[model] = each.accuracy;
    }
  }
  return table({
    caption: "By group of queries",
    rows: [...rows.values()],
    columns: [
      { head: "Group", cell: (row) => `${row.by}: ${row.value}`, heading: true },
      { head: "Queries", cell: (row) => count(row.n), kind: "number" },
      ...slices.map(({ model_id: model }) => ({
        head: `Accuracy, ${model}`,
        cell: (row) => interval(row.models[model]),
        kind: "number",
      })),
    ],
  });
}

const interval = (accuracy) =>
  accuracy
    ? `${percent(accuracy.accuracy)} (${percent(accuracy.low)} to ${percent(accuracy.high)})`
    : NOTHING;

function sweepCard({ model_id: model, points }, n, threshold, signal) {
  const shown = points.filter(
    (point, index) => index % SHOWN_STEPS === 0 || point.threshold === threshold,
  );
  return card(
    `${model} by threshold`,
    h("p", { class: "help" }, `The same ${plural(n, "answer")} at each confidence threshold.`),
    chart({
      times: points.map((point) => point.threshold),
      series: [
        { label: "Accuracy", values: points.map((point) => point.accuracy) },
        { label: "Coverage", values: points.map((point) => point.coverage) },
        { label: "Precision", values: points.map((point) => point.precision) },
      ],
      format: (value) => percent(value, 0),
      formatX: (value) => percent(value, 0),
      label: `Accuracy, coverage and precision of ${model} by confidence threshold; the table below has the numbers.`,
      signal,
    }),
    table({
      caption: `${model} by threshold`,
      hideCaption: true,
      rows: shown,
      columns: [
        { head: "Threshold", cell: (point) => percent(point.threshold, 0), heading: true },
        { head: "Coverage", cell: (point) => percent(point.coverage), kind: "number" },
        { head: "Precision", cell: (point) => percent(point.precision), kind: "number" },
        { head: "Accuracy", cell: (point) => percent(point.accuracy), kind: "number" },
      ],
    }),
  );
}
