// Selecting a model or classifier: the changes, the promotion check, and the confirmation.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING, plural, points, usd } from "../format.js";
import { link } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field, read } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { TYPES } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { inPageWords } from "../parts/page_words.js";
import { table } from "../parts/table.js";

/** Selects a model or enables a classifier, whichever `model` is. */
export async function select(model, selection, models, show, signal) {
  if (model.type === "classifier") {
    await selectClassifier(model.id, selection.classifier, show, signal);
    return;
  }
  const active = models.find((one) => one.id === selection.active);
  const challenger = field({
    name: "challenger",
    label: "Run as challenger instead, traffic %",
    type: "number",
    min: 0,
    max: 100,
    step: "any",
    help: "The challenger also decides on this share of the requests. Its decisions are only compared.",
  });
  const pair = encodeURIComponent([selection.active, model.id].join("\n"));
  const done = await selectDialog(model.id, {
    title: `Select ${model.id}?`,
    action: "Select",
    before: changes(active, model),
    whenFailed: link("Evaluate both", `#/evaluations?models=${pair}`),
    fields: [challenger],
    bodyOf({ challenger: share }) {
      const body = { model_id: model.id, expected_active: selection.active };
      return share === null ? body : { ...body, challenger: share };
    },
    signal,
  });
  if (!done) return;
  notice(
    done.challenger
      ? `${done.challenger} is the challenger of ${done.active}.`
      : `${done.active} is the active model now.`,
  );
  await show();
}

/** Enables the classifier `id` in place of `enabled` (null: none). */
export async function selectClassifier(id, enabled, show, signal) {
  const done = await selectDialog(id, {
    title: `Enable ${id}?`,
    action: "Enable",
    before: h(
      "p",
      {},
      `It decides before the LLM if its probability reaches the agent's threshold. Current: ${enabled ?? "no classifier"}.`,
    ),
    bodyOf: () => ({ model_id: id, type: "classifier", expected_active: enabled }),
    signal,
  });
  if (!done) return;
  notice(`${id} is enabled.`);
  await show();
}

/**
 * A dialog with the promotion check of `id` and `fields`. `bodyOf(values)` makes the request body;
 * `whenFailed` is shown if the check fails. The selection requires the check; where it failed, a second
 * button selects all the same. Resolves to the new selection, undefined if cancelled.
 */
function selectDialog(
  id,
  { title, action, before, whenFailed = null, fields = [], bodyOf, signal },
) {
  const send = (check) => async () => {
    const body = bodyOf(read(fields));
    // A challenger is only compared.
    return api("POST", "/v1/models/select", { body: body.challenger ? body : { ...body, check } });
  };
  const preview = h("div", {});
  const content = (offer) => {
    showCheck(preview, id, signal, (passed) => {
      if (passed) return null;
      offer(`${action} anyway`, send(false));
      return whenFailed;
    });
    return h(
      "div",
      { class: "stack" },
      before,
      preview,
      fields.map((each) => each.element),
    );
  };
  return confirm({ title, body: content, action, careful: true, act: send(true) });
}

/** Shows a preview of the promotion check of a model or classifier; `after(passed)` is shown below. */
function showCheck(container, id, signal, after) {
  load(
    container,
    () => api("GET", "/v1/models/select", { query: { check: id }, signal }),
    ({ check: preview }) =>
      h(
        "div",
        { class: "panel", "data-kind": preview.passed ? "good" : "warn" },
        h("strong", {}, `Promotion check: ${preview.passed ? "passed" : "failed"}`),
        h("p", {}, inPageWords(preview.message)),
        preview.result && !preview.result.score
          ? h("p", { class: "small" }, figures(preview.result))
          : null,
        after(preview.passed),
      ),
    { signal },
  );
}

const figures = ({ n, difference, lower_bound, margin, earlier_looks }) =>
  `Accuracy ${points(difference)} compared with the active model on ${plural(n, "query", "queries")}; lower bound ${points(lower_bound)}, required ${points(-margin)}. Earlier evaluations on the test split: ${earlier_looks}.`;

function changes(before, after) {
  const price = (model) =>
    model?.pricing
      ? `${usd(model.pricing.input_per_million)} / ${usd(model.pricing.output_per_million)}`
      : "unknown";
  const rows = [
    ["Model", before?.id ?? NOTHING, after.id],
    ["Type", TYPES[before?.type] ?? NOTHING, TYPES[after.type]],
    ["Input / output ($ per 1M tokens)", price(before), price(after)],
    ["Context window", count(before?.context_window), count(after.context_window)],
  ];
  return [
    table({
      caption: "Changes",
      rows,
      columns: [
        { head: "Property", cell: ([name]) => name, heading: true },
        { head: "Current", cell: (row) => row[1], kind: "wide" },
        { head: "New", cell: (row) => row[2], kind: "wide" },
      ],
    }),
    before && (before.type === "decision") !== (after.type === "decision")
      ? h(
          "p",
          { class: "help" },
          "Decision models and text models have different confidences: check the confidence threshold after the switch.",
        )
      : null,
    h(
      "p",
      { class: "help" },
      "The cache starts empty after the switch. You can roll back at any time.",
    ),
  ];
}
