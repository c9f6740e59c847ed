// Selecting a model: what changes, the promotion check, and how.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING, plural, points, usd } from "../format.js";
import { link } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field, read } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";

export async function select(model, selection, models, show, signal) {
  if (model.type === "classifier") {
    await selectClassifier(model.id, selection.classifier, show, signal);
    return;
  }
  const active = models.find((one) => one.id === selection.active);
  const checkRoom = h("div", {});
  const check = field({
    name: "check",
    label: "Require passing the promotion check",
    type: "checkbox",
    value: model.type === "lora",
  });
  const challenger = field({
    name: "challenger",
    label: "Make it the challenger instead, for this percentage of the answers",
    type: "number",
    min: 0,
    max: 100,
    step: "any",
    help: "Its answers are only compared with those of the active model, in the tab Challenger.",
  });
  showCheck(checkRoom, model.id, signal, () =>
    link(
      "Evaluate both",
      `#/evaluations?models=${encodeURIComponent([selection.active, model.id].join("\n"))}`,
    ),
  );
  const done = await confirm({
    title: `Select ${model.id}?`,
    body: h(
      "div",
      { class: "stack" },
      changes(active, model),
      checkRoom,
      check.element,
      challenger.element,
    ),
    action: "Select",
    async act() {
      const wanted = read([check, challenger]);
      const body = { model_id: model.id, expected_active: selection.active };
      if (wanted.check) body.check = true;
      if (wanted.challenger !== null) body.challenger = wanted.challenger;
      return api("POST", "/v1/models/select", { body });
    },
  });
  if (!done) return;
  notice(
    done.challenger
      ? `${done.challenger} is the challenger of ${done.active}.`
      : `${done.active} is the active model now.`,
  );
  await show();
}

/** Enables a classifier, with its promotion check. */
export async function selectClassifier(id, selected, show, signal) {
  const checkRoom = h("div", {});
  const check = field({
    name: "check",
    label: "Require passing the promotion check",
    type: "checkbox",
    value: true,
  });
  showCheck(checkRoom, id, signal);
  const done = await confirm({
    title: `Enable ${id}?`,
    body: h(
      "div",
      { class: "stack" },
      h(
        "p",
        {},
        `It answers the queries that it is sure of, without a model call. Now: ${selected ?? "no classifier"}.`,
      ),
      checkRoom,
      check.element,
    ),
    action: "Enable",
    act: () =>
      api("POST", "/v1/models/select", {
        body: {
          model_id: id,
          type: "classifier",
          expected_active: selected,
          check: read([check]).check ?? false,
        },
      }),
  });
  if (!done) return;
  notice(`${id} is enabled.`);
  await show();
}

/** Previews the promotion check of a model or classifier; `next` makes the link to the next step. */
function showCheck(container, id, signal, next = () => null) {
  load(
    container,
    () => api("GET", "/v1/models/select", { query: { check: id }, signal }),
    ({ check: preview }) =>
      h(
        "div",
        { class: "panel", "data-kind": preview.passed ? "good" : "warn" },
        h("strong", {}, `Promotion check: ${preview.passed ? "passed" : "failed"}`),
        h("p", {}, preview.message),
        preview.result && !preview.result.score
          ? h("p", { class: "small" }, figures(preview.result))
          : null,
        preview.passed ? null : next(),
      ),
    { signal },
  );
}

const figures = ({ n, difference, lower_bound, margin, earlier_looks }) =>
  `Accuracy ${points(difference)} against the active model on ${plural(n, "question")}; lower bound ${points(lower_bound)}, allowed ${points(-margin)}. Earlier evaluations on the test part: ${earlier_looks}.`;

function changes(before, after) {
  const price = (model) =>
    model?.pricing
      ? `${usd(model.pricing.input_per_million)} / ${usd(model.pricing.output_per_million)}`
      : "not known";
  const rows = [
    ["Model", before?.id ?? NOTHING, after.id],
    ["Type", before?.type ?? NOTHING, after.type],
    ["$ per 1M tokens, in / out", price(before), price(after)],
    ["Context window", count(before?.context_window), count(after.context_window)],
  ];
  return [
    table({
      caption: "What changes",
      rows,
      columns: [
        { head: "What", cell: ([name]) => name, heading: true },
        { head: "Now", cell: (row) => row[1], kind: "wide" },
        { head: "Then", cell: (row) => row[2], kind: "wide" },
      ],
    }),
    h(
      "p",
      { class: "help" },
      "Answers kept of the model now are not used for the other one. Rolling back is one click.",
    ),
  ];
}
