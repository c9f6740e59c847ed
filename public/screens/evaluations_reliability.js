// How well the confidences of an evaluation's models agree with the labels, and their calibration.

import { api } from "../api.js";
import { h, s } from "../dom.js";
import { count, NOTHING, percent, plural } from "../format.js";
import {
  calibrated,
  calibrationFacts,
  removeCalibration,
  uncalibrated,
} from "../parts/calibration.js";
import { badge, button, card, facts } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { inPageWords } from "../parts/page_words.js";
import { table } from "../parts/table.js";

const EXAMPLES = [0.5, 0.7, 0.9, 0.95, 0.99];
const SIZE = 100; // of the diagram, in its own units
const RADIUS = 3; // of the bin with the most answers

/** A card for each model whose confidences were measured. */
export function reliabilityCards(evaluation, may, signal) {
  const measured = evaluation.results.models.filter((model) => model.reliability?.before);
  if (!measured.length) return null;
  return h(
    "div",
    { class: "columns" },
    measured.map((model) => reliabilityCard(evaluation, model, may, signal)),
  );
}

function reliabilityCard(evaluation, { model_id: id, reliability }, may, signal) {
  const { n, before, after } = reliability;
  const change = (name) =>
    after ? `${percent(before[name])} → ${percent(after[name])}` : percent(before[name]);
  return card(
    `Reliability: ${id}`,
    h(
      "p",
      { class: "help" },
      "How often the model was right at each confidence. On the diagonal a confidence of 90 % is right in 90 % of the answers.",
    ),
    diagram(id, before, after),
    facts([
      ["Answers with a confidence", count(n)],
      [after ? "ECE, before → calibrated" : "ECE", change("ece")],
      [after ? "Brier score, before → calibrated" : "Brier score", change("brier")],
    ]),
    binTable(`Confidence of ${id}`, before),
    after
      ? h(
          "details",
          {},
          h("summary", {}, "Calibrated"),
          binTable(`Calibrated confidence of ${id}`, after),
        )
      : null,
    reliability.message
      ? h("p", { class: "help" }, `No calibration: ${inPageWords(reliability.message)}`)
      : null,
    after && evaluation.target === "models"
      ? calibrationOf(evaluation, id, reliability, may, signal)
      : null,
  );
}

/** A circle for each bin, whose area is its share of the answers. The table has the numbers. */
function diagram(id, before, after) {
  const most = Math.max(...[before, after].flatMap((each) => each?.bins ?? []).map((bin) => bin.n));
  const circles = ({ bins }, kind) =>
    bins.map(({ n, confidence, accuracy }) =>
      s("circle", {
        class: `reliability-${kind}`,
        cx: confidence * SIZE,
        cy: (1 - accuracy.accuracy) * SIZE,
        r: Math.max(RADIUS * Math.sqrt(n / most), 1),
      }),
    );
  const margin = RADIUS + 1;
  return h(
    "figure",
    { class: "stack-small" },
    s(
      "svg",
      {
        class: "reliability",
        viewBox: `${-margin} ${-margin} ${SIZE + 2 * margin} ${SIZE + 2 * margin}`,
        role: "img",
        "aria-label": `Share of right answers of ${id} by confidence; the table below has the numbers.`,
      },
      s("rect", { class: "reliability-frame", width: SIZE, height: SIZE }),
      s("line", { class: "reliability-ideal", x1: 0, y1: SIZE, x2: SIZE, y2: 0 }),
      circles(before, "before"),
      after ? circles(after, "after") : null,
    ),
    h(
      "figcaption",
      { class: "row help" },
      "Across: confidence. Up: share right. Both 0 to 100 %.",
      h("span", { class: "reliability-key", "data-kind": "before" }, "model's own"),
      after ? h("span", { class: "reliability-key", "data-kind": "after" }, "calibrated") : null,
    ),
  );
}

const binTable = (caption, { bins }) =>
  table({
    caption,
    hideCaption: true,
    rows: bins,
    columns: [
      {
        head: "Confidence",
        cell: ({ low, high }) => `${percent(low)} to ${percent(high)}`,
        heading: true,
      },
      { head: "Mean", cell: (bin) => percent(bin.confidence), kind: "number" },
      { head: "Right", cell: (bin) => percent(bin.accuracy.accuracy), kind: "number" },
      {
        head: "95 % interval",
        cell: ({ accuracy: { low, high } }) =>
          low === null ? NOTHING : `${percent(low)} to ${percent(high)}`,
        kind: "number",
      },
      { head: "Answers", cell: (bin) => count(bin.n), kind: "number" },
    ],
  });

/** Whether this calibration is in force, and what can be done about it. */
function calibrationOf(evaluation, id, reliability, may, signal) {
  const container = h("div", {});
  const show = () =>
    load(
      container,
      () => api("GET", `/v1/models/${encodeURIComponent(id)}`, { signal }),
      (model) => calibrationState(evaluation, model, reliability, may, show),
      { signal, keep: true },
    );
  show();
  return container;
}

function calibrationState(evaluation, model, reliability, may, show) {
  const used = model.calibration?.evaluation_id === evaluation.id;
  if (used)
    return h(
      "div",
      { class: "row" },
      badge("calibration in force", "good"),
      may("admin")
        ? button(
            "Remove calibration",
            async () => {
              if (await removeCalibration(model)) await show();
            },
            { size: "small", kind: "plain", label: `Remove calibration of ${model.id}` },
          )
        : null,
    );
  if (!may("admin")) return null;
  const use = async () => {
    if (await useCalibration(evaluation, model, reliability)) await show();
  };
  return button("Use this calibration", use, {
    kind: "main",
    label: `Use this calibration for ${model.id}`,
  });
}

async function useCalibration(evaluation, model, reliability) {
  const { n, before, after } = reliability;
  const { threshold } = evaluation;
  const done = await confirm({
    title: `Use this calibration for ${model.id}?`,
    body: h(
      "div",
      { class: "stack" },
      h(
        "p",
        {},
        `From the next request on, a confidence is the share of such answers that were right, measured on ${plural(n, "labeled query", "labeled queries")}. The expected calibration error changes from ${percent(before.ece)} to ${percent(after.ece)} (cross-fitted).`,
      ),
      table({
        caption: "What it changes",
        rows: EXAMPLES,
        columns: [
          { head: "Model's confidence", cell: (value) => percent(value), heading: true },
          { head: "Becomes", cell: (value) => percent(calibrated(reliability, value)) },
        ],
      }),
      h(
        "p",
        {},
        `A threshold of ${percent(threshold)} is then reached from a model's confidence of ${percent(uncalibrated(reliability, threshold))}. Check the threshold afterwards: evaluate again, and compare the results by threshold.`,
      ),
      model.calibration
        ? h("div", {}, h("h3", {}, "Replaces"), calibrationFacts(model.calibration))
        : null,
    ),
    action: "Use calibration",
    act: () =>
      api("POST", `/v1/evaluations/${evaluation.id}/calibrate`, {
        body: { model_id: model.id },
      }),
  });
  if (done) notice(`The confidence of ${model.id} is calibrated.`);
  return Boolean(done);
}
