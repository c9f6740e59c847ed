// Coverage against precision of a classifier: the curve, a slider over its targets, and the setting.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING, percent, plural, points, usd } from "../format.js";
import { chart } from "../parts/chart.js";
import { badge, button, card, figure, link } from "../parts/controls.js";
import { formDialog } from "../parts/form.js";
import { notice } from "../parts/notice.js";
import { pointSlider } from "../parts/point_slider.js";
import { table } from "../parts/table.js";
import { pointOf, precisionName, suggestion, targetText } from "../parts/targets.js";
import { address } from "../router.js";

// Of the series of the chart.
const [PRECISION, LOW, HIGH, TRAINED, CHOSEN] = [0, 1, 2, 3, 4];
const UNPRICED = {
  emulated: "Models are emulated here, so no costs are stated.",
  no_price: "The models have no known price, so no costs are stated.",
  no_model_decisions: "No model has decided in the last 30 days, so no costs are stated.",
};

const withInterval = (share, low, high) =>
  share === null ? NOTHING : `${percent(share)} (${percent(low)} to ${percent(high)})`;

/** The hint that another target answers clearly more; null if none does. */
export function targetHint(curve) {
  const hint = curve && suggestion(curve);
  if (!hint) return null;
  return h(
    "p",
    { class: "panel", "data-kind": "warn" },
    `${hint.text} `,
    link("Compare targets", hint.href),
  );
}

/** The curve of `one`, with the slider on `target`. `show` is called after a training has started. */
export function curveCard(one, curve, config, { may, signal, target, show }) {
  if (!curve.points.length) {
    return card("Coverage against precision", h("p", { class: "help" }, curve.message));
  }
  const all = curve.points;
  const own = pointOf(curve, curve.target);
  const wanted = pointOf(curve, target);
  const plot = curveChart(curve, signal);
  const use = button(
    "Use this setting",
    () => useTarget(one, curve, slider.chosen(), config, show),
    { kind: "main" },
  );
  const slider = pointSlider({
    name: "target",
    label: "Target precision",
    points: all,
    start: wanted ?? own,
    write: ({ target: value }) => targetText(value),
    help: `This classifier was trained for ${targetText(own.target)}. The setting for new trainings is ${targetText(config.classifier_target.value)}.`,
    describe: (point) => [pointFigures(point, own, curve), point.limited ? limitText(point) : null],
    onChange(point) {
      use.disabled = point === own && point.target === config.classifier_target.value;
      plot.mark(point);
    },
  });
  if (wanted) queueMicrotask(() => slider.focus());
  return card(
    "Coverage against precision",
    targetHint(curve),
    h("p", { class: "help" }, measuredText(curve)),
    slider.element,
    may("admin") ? h("div", { class: "row" }, use) : null,
    plot.element,
    pointTable(curve, config),
    h("p", { class: "help" }, trafficText(curve.traffic)),
  );
}

function measuredText({ basis, points: [first] }) {
  const labels =
    basis === "agreement with a model"
      ? "machine labels: the figures say how often the classifier decides as the model does, and not how often it is right"
      : "labels that people gave";
  return `Of ${plural(first.held_out, "held-out question")}, ${labels}. Thresholds are chosen on four fifths of them and measured on the rest, in turn; the test split is not read. Messages in conversations are not included.`;
}

function trafficText({ decisions, per_month: month, unpriced }) {
  const where = "the last 30 days";
  if (month === null)
    return `Requests a month are not stated: ${plural(decisions, "decision")} in ${where}, 100 are needed.`;
  const rate = `Estimate: ${plural(month, "request")} a month reach the classifier, from ${plural(decisions, "decision")} in ${where} of all routers. It assumes that they are like the held-out questions.`;
  return unpriced
    ? `${rate} ${UNPRICED[unpriced]}`
    : `${rate} A request without a model saves a model's mean cost, unless the cache would have answered it.`;
}

function pointFigures(point, own, curve) {
  const change = (share, before) =>
    point === own || before === null || share === null ? "" : `, ${points(share - before)}`;
  const { per_month: month, unpriced } = curve.traffic;
  return h(
    "div",
    { class: "figures" },
    figure("Coverage", percent(point.coverage), {
      note: `${percent(point.coverage_low)} to ${percent(point.coverage_high)}, of ${count(point.held_out)}${change(point.coverage, own.coverage)}`,
      info: "Share of the held-out questions that is answered without a model, with its 95 % interval, and the change from the target that it was trained for.",
    }),
    figure(precisionName(curve), percent(point.precision), {
      note:
        point.precision === null
          ? "answers nothing"
          : `${percent(point.precision_low)} to ${percent(point.precision_high)}, of ${plural(point.answered, "answer")}${change(point.precision, own.precision)}`,
    }),
    figure("Out-of-scope false accepts", falseAccepts(point), {
      note: point.out_of_scope ? null : "no labels that no agent fits",
    }),
    figure("Agents answered", `${count(point.agents)}`, {
      note: point.threshold === null ? null : `lowest threshold ${percent(point.threshold)}`,
    }),
    figure("Requests a month without a model", count(point.answered_per_month), {
      note:
        month === null
          ? "too few logged requests"
          : difference(point, own, "answered_per_month", count),
    }),
    figure("Saved a month", usd(point.saved_usd_per_month), {
      note:
        point.saved_usd_per_month === null
          ? (UNPRICED[unpriced] ?? "not known")
          : difference(point, own, "saved_usd_per_month", usd),
    }),
  );
}

/** Labels that no agent fits lower this threshold, other targets do not. */
const limitText = (point) =>
  h(
    "p",
    { class: "help" },
    `A lower target does not change this: below ${percent(point.threshold)} too many out-of-scope questions would be answered. With 50 labels of questions that no agent fits this is measured, and usually lower. `,
    link("Label queries", address(["labeling"])),
  );

function difference(point, own, name, write) {
  if (point === own) return "estimate";
  const more = point[name] - own[name];
  return `estimate, ${more < 0 ? "−" : "+"}${write(Math.abs(more))}`;
}

const falseAccepts = (point) =>
  point.out_of_scope ? `${count(point.false_accepts)} of ${count(point.out_of_scope)}` : NOTHING;

/** The curve; `mark(point)` shows where the slider is. */
function curveChart(curve, signal) {
  const shown = curve.points
    .filter((point) => point.precision !== null)
    .sort((one, other) => one.coverage - other.coverage);
  if (shown.length < 2) return { element: null, mark() {} };
  const only = (chosen) => shown.map((point) => (point === chosen ? point.precision : null));
  const values = (name) => shown.map((point) => point[name]);
  const series = [];
  series[PRECISION] = { label: precisionName(curve), values: values("precision"), color: 0 };
  series[LOW] = {
    label: "at least",
    values: values("precision_low"),
    color: 0,
    dashed: true,
    points: 0,
  };
  series[HIGH] = {
    label: "at most",
    values: values("precision_high"),
    color: 0,
    dashed: true,
    points: 0,
  };
  const own = pointOf(curve, curve.target);
  series[TRAINED] = { label: "Trained for", values: only(own), color: 2, points: 12 };
  series[CHOSEN] = { label: "Slider", values: only(null), color: 1, points: 9 };
  const lowest = Math.min(...shown.map((point) => point.precision_low));
  const element = chart({
    times: values("coverage"),
    series,
    format: (share) => percent(share),
    formatX: (share) => percent(share),
    from: Math.floor(lowest * 20) / 20,
    label: `${precisionName(curve)} by coverage; the table below has the numbers.`,
    signal,
  });
  return {
    element: h(
      "div",
      { class: "stack-small" },
      element,
      h(
        "p",
        { class: "help" },
        `Across: coverage. Up: ${precisionName(curve).toLowerCase()}, with its 95 % interval.`,
      ),
    ),
    mark: (point) => element.setValues(CHOSEN, only(point)),
  };
}

const pointTable = (curve, config) =>
  table({
    caption: "Targets",
    rows: curve.points,
    columns: [
      {
        head: "Target",
        heading: true,
        cell: ({ target }) => [
          targetText(target),
          target === curve.target ? [" ", badge("trained for", "good")] : null,
          target === config.classifier_target.value ? [" ", badge("setting", "accent")] : null,
        ],
      },
      {
        head: "Coverage",
        cell: (one) => withInterval(one.coverage, one.coverage_low, one.coverage_high),
      },
      {
        head: precisionName(curve),
        cell: (one) => withInterval(one.precision, one.precision_low, one.precision_high),
      },
      { head: "Answers", cell: (one) => count(one.answered), kind: "number" },
      { head: "Out-of-scope false accepts", cell: falseAccepts, kind: "number" },
      { head: "Agents answered", cell: (one) => count(one.agents), kind: "number" },
      {
        head: "Requests a month",
        cell: (one) => count(one.answered_per_month),
        kind: "number",
      },
      { head: "Saved a month", cell: (one) => usd(one.saved_usd_per_month), kind: "number" },
    ],
  });

/** Thresholds are part of a trained classifier, so another target needs another training. */
async function useTarget(one, curve, point, config, show) {
  const own = pointOf(curve, curve.target);
  const required = point.target - config.promotion_margin.value;
  const rows = [
    ["Target precision", targetText(config.classifier_target.value), targetText(point.target)],
    ["Coverage", percent(own.coverage), percent(point.coverage)],
    [precisionName(curve), percent(own.precision), percent(point.precision)],
    ["Out-of-scope false accepts", falseAccepts(own), falseAccepts(point)],
    [
      "Requests a month without a model",
      count(own.answered_per_month),
      count(point.answered_per_month),
    ],
  ];
  const { router } = one.options;
  const made = await formDialog({
    title: `Use the target ${targetText(point.target)}?`,
    action: "Save and train",
    before: h(
      "div",
      { class: "stack" },
      table({
        caption: "What changes",
        rows,
        columns: [
          { head: "Figure", heading: true, cell: ([name]) => name },
          { head: "Now", cell: ([, now]) => now },
          { head: "Then", cell: ([, , then]) => then },
        ],
      }),
      h(
        "p",
        {},
        "The setting is saved, and a classifier is trained for it with the labels of now, in about a minute. Requests are decided as before until you enable it.",
      ),
      h(
        "p",
        { class: "help" },
        `The promotion check then asks for a precision of at least ${targetText(required)}: the target less the margin.`,
      ),
    ),
    fields: [],
    async onSubmit(_, idempotencyKey) {
      const { target } = point;
      const body = router ? { target, router } : { target };
      const training = await api("POST", "/v1/classifiers", { body, idempotencyKey });
      await api("PATCH", "/v1/config", { body: { classifier_target: target } });
      return training;
    },
  });
  if (!made) return;
  notice("Setting saved. Training started.");
  await show(made);
}
