// One evaluation: progress, results and misrouted queries.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, ms, NOTHING, percent, plural, points, time, usd, words } from "../format.js";
import { contextLine } from "../parts/context.js";
import { badge, button, card, facts, link, pageHead, progressBar } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field } from "../parts/form.js";
import { heatTable } from "../parts/heat.js";
import { cancelButton, followJob, isActive, stateBadge } from "../parts/job.js";
import { notice } from "../parts/notice.js";
import { filteredTable, table } from "../parts/table.js";
import { go } from "../router.js";
import { details } from "./evaluations_details.js";
import { reliabilityCards } from "./evaluations_reliability.js";

// Columns of a confusion matrix that are not agents; they come last.
const UNDECIDED = ["deferred", "failed"];

export async function showEvaluation({ root, signal, may }, id) {
  const body = h("div", { class: "stack" });
  const misrouted = h("div", {});
  replace(
    root,
    pageHead("Evaluation", null, link("All evaluations", "#/evaluations", { size: "small" })),
    body,
    misrouted,
  );
  const path = `/v1/evaluations/${encodeURIComponent(id)}`;
  const render = (evaluation, follow) => {
    if (evaluation.results) replace(misrouted, misroutedTable(evaluation, signal));
    return view(evaluation, may, follow, signal);
  };
  await followJob(body, path, render, { signal });
}

function view(evaluation, may, follow, signal) {
  const running = isActive(evaluation.state);
  return [
    card(
      evaluation.model_ids.join(" · "),
      facts([
        ["State", stateBadge(evaluation.state)],
        ["Target", evaluation.target === "pipeline" ? "pipeline" : "models alone"],
        ["Label layer", evaluation.label_layer ? "on" : null],
        ["Router", evaluation.router],
        ["Split", words(evaluation.split)],
        ["Queries", count(evaluation.labels)],
        [
          "Labels of disabled agents",
          evaluation.left_out ? `${count(evaluation.left_out)}, not used` : null,
        ],
        [
          "Near-duplicates",
          evaluation.near_duplicates ? `${count(evaluation.near_duplicates)}, not used` : null,
        ],
        ["Started", time(evaluation.created_at)],
        ["Ended", evaluation.finished_at ? time(evaluation.finished_at) : null],
        ["Started by", evaluation.created_by],
        ["Threshold", percent(evaluation.threshold)],
        ["SHA-256 (labels)", shortened(evaluation.data?.sha256)],
      ]),
      evaluation.error ? h("p", { class: "error" }, evaluation.error) : null,
      running
        ? evaluation.progress.map(({ model_id, done, total }) =>
            progressBar(`${model_id}: ${done} of ${total}`, total ? done / total : 0),
          )
        : null,
      may("admin")
        ? h(
            "div",
            { class: "row" },
            running ? cancelButton(`/v1/evaluations/${evaluation.id}`, follow) : remove(evaluation),
          )
        : null,
    ),
    evaluation.results ? results(evaluation.results) : null,
    evaluation.results ? reliabilityCards(evaluation, may, signal) : null,
    evaluation.results ? details(evaluation, signal) : null,
  ];
}

/** The first digits are enough to compare; the API returns the whole hash. */
const shortened = (hash) => (hash ? `${hash.slice(0, 12)}…` : null);

const remove = ({ id }) =>
  button(
    "Delete",
    async () => {
      const done = await confirm({
        title: "Delete this evaluation?",
        body: h(
          "p",
          {},
          "Its results are deleted too. The promotion check then uses the newest evaluation that is left.",
        ),
        action: "Delete",
        danger: true,
        act: () => api("DELETE", `/v1/evaluations/${id}`),
      });
      if (!done) return;
      notice("Evaluation deleted.");
      go(["evaluations"]);
    },
    { size: "small", kind: "plain" },
  );

function results({ models, pairs }) {
  return [
    table({
      caption: "Results",
      rows: models,
      columns: [
        { head: "Model", cell: (model) => model.model_id, heading: true, kind: "wide" },
        { head: "Accuracy", cell: (model) => percent(model.accuracy.accuracy), kind: "number" },
        {
          head: "95 % interval",
          cell: (model) => `${percent(model.accuracy.low)} to ${percent(model.accuracy.high)}`,
          kind: "number",
        },
        ...(models.some((model) => model.deferred)
          ? [
              { head: "Passed on", cell: (model) => count(model.deferred), kind: "number" },
              {
                head: "Precision",
                cell: (model) => percent(model.precision?.accuracy),
                kind: "number",
              },
            ]
          : []),
        { head: "Macro F1", cell: (model) => percent(model.macro_f1), kind: "number" },
        { head: "Failed", cell: (model) => count(model.failed), kind: "number" },
        { head: "Below threshold", cell: (model) => count(model.low_confidence), kind: "number" },
        { head: "Tokens", cell: (model) => count(model.tokens), kind: "number" },
        { head: "Cost", cell: (model) => usd(model.cost_usd), kind: "number" },
        { head: "p50", cell: (model) => ms(model.p50_ms), kind: "number" },
        { head: "p95", cell: (model) => ms(model.p95_ms), kind: "number" },
      ],
    }),
    h(
      "p",
      { class: "help" },
      "An out-of-scope query counts as correct only if the model says so. In Analytics a confidence below the threshold counts too.",
    ),
    pairs.length ? pairTable(pairs) : null,
    h(
      "div",
      { class: "columns" },
      models.map((model) => card(`Confusion matrix: ${model.model_id}`, confusion(model))),
    ),
    h(
      "div",
      { class: "columns" },
      models.map((model) => card(`${model.model_id} by agent`, agentTable(model))),
    ),
  ];
}

function pairTable(pairs) {
  return table({
    caption: "Pairwise comparison",
    rows: pairs,
    columns: [
      {
        head: "Pair",
        cell: (pair) => `${pair.second} vs. ${pair.first}`,
        heading: true,
        kind: "wide",
      },
      { head: "Difference", cell: (pair) => points(pair.difference), kind: "number" },
      {
        head: "95 % interval",
        cell: (pair) => `${points(pair.low)} to ${points(pair.high)}`,
        kind: "number",
      },
      { head: "Only first correct", cell: (pair) => count(pair.only_first), kind: "number" },
      { head: "Only second correct", cell: (pair) => count(pair.only_second), kind: "number" },
      { head: "McNemar p", cell: (pair) => pair.p.toPrecision(2), kind: "number" },
      {
        head: "Significant",
        cell: (pair) =>
          pair.p < 0.05
            ? badge(pair.difference > 0 ? "better" : "worse", pair.difference > 0 ? "good" : "bad")
            : badge("no"),
      },
    ],
  });
}

/** Rows are labels, columns are decisions. */
function confusion({ model_id: id, confusion: counts }) {
  const labels = Object.keys(counts).sort();
  const decided = [...new Set([...labels, ...Object.values(counts).flatMap(Object.keys)])].sort(
    (one, other) => UNDECIDED.indexOf(one) - UNDECIDED.indexOf(other) || one.localeCompare(other),
  );
  return heatTable({
    label: `Confusion matrix of ${id}`,
    caption: "Rows: labels. Columns: decisions.",
    corner: "Label",
    rows: labels,
    columns: decided,
    count: (label, answer) => counts[label][answer] ?? 0,
    marked: (label, answer) => label === answer,
    describe: (label, answer, n, all) => `${label} routed to ${answer}: ${n} of ${all}`,
  });
}

const agentTable = ({ model_id: id, agents }) =>
  table({
    caption: `${id} by agent`,
    hideCaption: true,
    rows: agents,
    columns: [
      { head: "Agent", cell: (agent) => agent.agent, heading: true },
      { head: "Queries", cell: (agent) => count(agent.support), kind: "number" },
      { head: "Precision", cell: (agent) => percent(agent.precision), kind: "number" },
      { head: "Recall", cell: (agent) => percent(agent.recall), kind: "number" },
      { head: "F1", cell: (agent) => percent(agent.f1), kind: "number" },
    ],
  });

function misroutedTable(evaluation, signal) {
  const model = field({
    name: "model",
    label: "Misrouted by",
    type: "select",
    value: evaluation.model_ids[0],
    options: evaluation.model_ids.map((id) => [id, id]),
  });
  return filteredTable(model, {
    caption: "Misrouted queries",
    path: `/v1/evaluations/${evaluation.id}/answers`,
    queryOf: (value) => ({ model: value, wrong: true, limit: 20 }),
    columns: [
      {
        head: "Query",
        cell: (answer) => [contextLine(answer), answer.query],
        kind: "wide",
        heading: true,
      },
      { head: "Label", cell: (answer) => answer.label },
      { head: "Routed to", cell: (answer) => answer.decided ?? NOTHING },
      { head: "Reason", cell: (answer) => words(answer.reason) },
      { head: "Latency", cell: (answer) => ms(answer.ms), kind: "number" },
    ],
    none: () =>
      h("p", { class: "muted" }, `None: ${plural(evaluation.labels, "query", "queries")} correct.`),
    signal,
  });
}
