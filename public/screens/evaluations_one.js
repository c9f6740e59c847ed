// One evaluation: its progress, the models side by side, and what they got wrong.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, ms, NOTHING, percent, plural, points, time, usd, words } from "../format.js";
import { badge, button, card, facts, link, pageHead, progressBar } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field } from "../parts/form.js";
import { cancelButton, stateBadge, underWay } from "../parts/job.js";
import { load, polling } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { pagedTable, table } from "../parts/table.js";
import { go } from "../router.js";
import { details } from "./evaluations_details.js";

// Columns of a confusion matrix that are no decisions; they come last.
const UNDECIDED = ["deferred", "failed"];

export async function one({ root, signal, may }, id) {
  const body = h("div", { class: "stack" });
  const answers = h("div", {});
  replace(
    root,
    pageHead("Evaluation", null, link("All evaluations", "#/evaluations", { size: "small" })),
    body,
    answers,
  );
  let evaluation = null;
  const show = async () => {
    const shown = await load(
      body,
      () => api("GET", `/v1/evaluations/${encodeURIComponent(id)}`, { signal }),
      (found) => {
        evaluation = found;
        if (found.results) showAnswers(answers, found, signal);
        return view(found, may, follow, signal);
      },
      { signal, keep: true, steady: true, retry: () => follow() },
    );
    return shown && evaluation !== null && underWay(evaluation.state);
  };
  const follow = polling(show, { signal });
  await follow();
}

function view(evaluation, may, follow, signal) {
  const running = underWay(evaluation.state);
  return [
    card(
      evaluation.model_ids.join(" · "),
      facts([
        ["State", stateBadge(evaluation.state)],
        ["Target", evaluation.target === "pipeline" ? "the pipeline" : "models alone"],
        ["Labels decide", evaluation.label_layer ? "yes" : null],
        ["Part", words(evaluation.split)],
        ["Questions", count(evaluation.labels)],
        [
          "Labels left out",
          evaluation.left_out
            ? `${count(evaluation.left_out)}, of agents that are not enabled`
            : null,
        ],
        [
          "Near-duplicates left out",
          evaluation.near_duplicates ? count(evaluation.near_duplicates) : null,
        ],
        ["Begun", time(evaluation.created_at)],
        ["Ended", evaluation.finished_at ? time(evaluation.finished_at) : null],
        ["By", evaluation.created_by],
        ["Threshold", percent(evaluation.threshold)],
        ["SHA-256 of the labels", shortened(evaluation.data?.sha256)],
      ]),
      evaluation.error ? h("p", { class: "fault" }, evaluation.error) : null,
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
    evaluation.results ? details(evaluation, signal) : null,
  ];
}

/** The first digits tell any two apart; the API has all of them. */
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
          "Its answers are deleted with it. The promotion check uses the newest one that is left.",
        ),
        action: "Delete",
        danger: true,
        act: () => api("DELETE", `/v1/evaluations/${id}`),
      });
      if (!done) return;
      notice("The evaluation is deleted.");
      go(["evaluations"]);
    },
    { size: "small", kind: "plain" },
  );

function results({ models, pairs }) {
  return [
    table({
      caption: "Side by side",
      rows: models,
      columns: [
        { head: "Model", cell: (model) => model.model_id, heading: true, kind: "wide" },
        { head: "Right", cell: (model) => percent(model.accuracy.accuracy), kind: "number" },
        {
          head: "95 % interval",
          cell: (model) => `${percent(model.accuracy.low)} to ${percent(model.accuracy.high)}`,
          kind: "number",
        },
        ...(models.some((model) => model.deferred)
          ? [
              { head: "Deferred", cell: (model) => count(model.deferred), kind: "number" },
              {
                head: "Precision",
                cell: (model) => percent(model.precision?.accuracy),
                kind: "number",
              },
            ]
          : []),
        { head: "Macro F1", cell: (model) => percent(model.macro_f1), kind: "number" },
        { head: "Failed", cell: (model) => count(model.failed), kind: "number" },
        { head: "Not sure", cell: (model) => count(model.low_confidence), kind: "number" },
        { head: "Tokens", cell: (model) => count(model.tokens), kind: "number" },
        { head: "Cost", cell: (model) => usd(model.cost_usd), kind: "number" },
        { head: "p50", cell: (model) => ms(model.p50_ms), kind: "number" },
        { head: "p95", cell: (model) => ms(model.p95_ms), kind: "number" },
      ],
    }),
    h(
      "p",
      { class: "help" },
      "A question that no agent fits is right here only where the model says so; where it was merely not sure it is wrong, unlike in Analytics, since the agent that stands in is none of its merit.",
    ),
    pairs.length ? pairTable(pairs) : null,
    h(
      "div",
      { class: "columns" },
      models.map((model) => card(`What ${model.model_id} decided`, confusion(model))),
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
    caption: "Two at a time",
    rows: pairs,
    columns: [
      {
        head: "The second against the first",
        cell: (pair) => `${pair.second} against ${pair.first}`,
        heading: true,
        kind: "wide",
      },
      { head: "Difference", cell: (pair) => points(pair.difference), kind: "number" },
      {
        head: "95 % interval",
        cell: (pair) => `${points(pair.low)} to ${points(pair.high)}`,
        kind: "number",
      },
      { head: "Only the first right", cell: (pair) => count(pair.only_first), kind: "number" },
      { head: "Only the second", cell: (pair) => count(pair.only_second), kind: "number" },
      { head: "McNemar p", cell: (pair) => pair.p.toPrecision(2), kind: "number" },
      {
        head: "Told apart",
        cell: (pair) =>
          pair.p < 0.05
            ? badge(pair.difference > 0 ? "better" : "worse", pair.difference > 0 ? "good" : "bad")
            : badge("no"),
      },
    ],
  });
}

/** Rows are labels, columns what was decided; the darker, the more of the row. */
function confusion({ model_id: id, confusion: counts }) {
  const labels = Object.keys(counts).sort();
  const decided = [...new Set([...labels, ...Object.values(counts).flatMap(Object.keys)])].sort(
    (one, other) => UNDECIDED.indexOf(one) - UNDECIDED.indexOf(other) || one.localeCompare(other),
  );
  const cell = (label, answer) => {
    const n = counts[label][answer] ?? 0;
    const all = Object.values(counts[label]).reduce((sum, value) => sum + value, 0);
    const level = n ? Math.max(1, Math.round((n / all) * 5)) : 0;
    return h(
      "td",
      {
        class: "heat number",
        "data-level": level,
        "data-right": label === answer ? "true" : null,
        title: `${label} decided as ${answer}: ${n} of ${all}`,
      },
      n || "",
    );
  };
  return h(
    "div",
    { class: "table", role: "region", tabindex: "0", "aria-label": `Confusion matrix of ${id}` },
    h(
      "table",
      { class: "confusion" },
      h("caption", { class: "help" }, "Rows: the label. Columns: what was decided."),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Label"),
          decided.map((answer) => h("th", { scope: "col", class: "number" }, answer)),
        ),
      ),
      h(
        "tbody",
        {},
        labels.map((label) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, label),
            decided.map((answer) => cell(label, answer)),
          ),
        ),
      ),
    ),
  );
}

const agentTable = ({ model_id: id, agents }) =>
  table({
    caption: `${id} by agent`,
    hideCaption: true,
    rows: agents,
    columns: [
      { head: "Agent", cell: (agent) => agent.agent, heading: true },
      { head: "Questions", cell: (agent) => count(agent.support), kind: "number" },
      { head: "Precision", cell: (agent) => percent(agent.precision), kind: "number" },
      { head: "Recall", cell: (agent) => percent(agent.recall), kind: "number" },
      { head: "F1", cell: (agent) => percent(agent.f1), kind: "number" },
    ],
  });

function showAnswers(room, evaluation, signal) {
  const path = `/v1/evaluations/${evaluation.id}/answers`;
  const model = field({
    name: "model",
    label: "Wrong answers of",
    type: "select",
    value: evaluation.model_ids[0],
    options: evaluation.model_ids.map((id) => [id, id]),
  });
  const body = h("div", {});
  const show = () => {
    const query = { model: model.value(), wrong: true, limit: 20 };
    return load(
      body,
      () => api("GET", path, { query, signal }),
      (page) =>
        page.data.length
          ? pagedTable({
              caption: "Wrong answers",
              first: page,
              path,
              query,
              signal,
              columns: [
                { head: "Query", cell: (answer) => answer.query, kind: "wide", heading: true },
                { head: "Label", cell: (answer) => answer.label },
                { head: "Decided", cell: (answer) => answer.decided ?? NOTHING },
                { head: "Reason", cell: (answer) => words(answer.reason) },
                { head: "Time", cell: (answer) => ms(answer.ms), kind: "number" },
              ],
            })
          : h(
              "p",
              { class: "soft" },
              `None: all ${plural(evaluation.labels, "question")} were decided rightly.`,
            ),
      { signal, keep: true },
    );
  };
  model.element.addEventListener("change", show);
  replace(
    room,
    card(null, h("div", { class: "stack" }, h("div", { class: "filters" }, model.element), body)),
  );
  show();
}
