// A new evaluation: what is compared, on which queries, and what that takes.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, plural, usd } from "../format.js";
import { formDialog } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { comparable, readModels } from "../parts/models.js";
import { readRouters, routerField } from "../parts/routers.js";
import { table } from "../parts/table.js";
import { go } from "../router.js";
import { contestant, EMULATED, PIPELINE } from "./evaluations_names.js";

const TYPING_MS = 300;

/** Asks for an evaluation of the contestants `chosen` and starts it. */
export async function newEvaluation(signal, chosen) {
  const [all, routers] = await Promise.all([readModels(signal), readRouters(signal)]);
  const models = comparable(all);
  const active = models.find((model) => model.active && model.type !== "classifier");
  const bodyOf = (values) => requestOf(values, active);
  const made = await formDialog({
    title: "New evaluation",
    action: "Run evaluation",
    fields: [
      {
        name: "model_ids",
        label: "Contestants (max 5)",
        type: "checks",
        required: true,
        value: chosen.length ? chosen : [active?.id],
        options: [[PIPELINE, "Router as it runs"], ...models.map(optionOf)],
        help: "Router as it runs: rules, the enabled classifier, the model with its fallback models, and the threshold, without caches.",
      },
      {
        name: "target",
        label: "Models and classifiers are measured",
        type: "select",
        value: "models",
        options: [
          ["models", "each alone"],
          ["pipeline", "in the router, in place of the current one"],
        ],
        help: "The promotion check reads evaluations of models alone.",
      },
      {
        name: "split",
        label: "Split",
        type: "select",
        value: "test",
        options: [
          ["test", "Test"],
          ["validation", "Validation"],
          ["held_out", "Both"],
        ],
      },
      {
        name: "limit",
        label: "Sample size",
        type: "number",
        min: 1,
        max: 5000,
        help: "Always the same queries. Empty: all.",
      },
      ...routerField(routers, "Its agents and settings, and the labels of its agents."),
    ],
    after: (fields) => estimate(fields, bodyOf, signal),
    onSubmit: (values, idempotencyKey) =>
      api("POST", "/v1/evaluations", { body: bodyOf(values), idempotencyKey }),
  });
  if (made) go(["evaluations", made.id]);
}

const optionOf = ({ id, type }) => [id, type === "classifier" ? `Classifier ${id}` : id];

function requestOf({ limit, model_ids: ids, ...body }, active) {
  const others = ids.filter((id) => id !== PIPELINE && id !== active?.id);
  // In the router the active model is the router as it runs.
  body.model_ids = body.target === PIPELINE ? [PIPELINE, ...others] : ids;
  return limit === null ? body : { ...body, limit };
}

/** The calls and the cost of what the form says now. */
function estimate(fields, bodyOf, signal) {
  const shown = h("div", { "aria-live": "polite" });
  const show = () => {
    const values = Object.fromEntries(fields.map((each) => [each.spec.name, each.value()]));
    if (fields.some((each) => each.validate())) return;
    const body = bodyOf(values);
    load(
      shown,
      () => api("POST", "/v1/evaluations/estimate", { body, signal }),
      (found) => estimateView(found, body),
      { signal, keep: true },
    );
  };
  let typing;
  // The form is there once the dialog is open.
  queueMicrotask(() => {
    shown.closest("form").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(show, TYPING_MS);
    });
    show();
  });
  return shown;
}

function estimateView({ questions, contestants }, body) {
  const calls = contestants.reduce((sum, each) => sum + each.calls, 0);
  const from = (basis) => contestants.some((each) => each.basis === basis);
  return h(
    "div",
    { class: "stack-small" },
    table({
      caption: `Before the start: ${plural(questions, "query", "queries")}, ${contestants.some((each) => each.at_most) ? "at most " : ""}${plural(calls, "model call")}`,
      rows: contestants,
      columns: [
        { head: "Contestant", cell: (each) => contestant(body, each.model_id), heading: true },
        {
          head: "Model calls",
          cell: (each) => `${each.at_most ? "at most " : ""}${count(each.calls)}`,
          kind: "number",
        },
        { head: "Tokens, about", cell: (each) => count(each.tokens), kind: "number" },
        { head: "Cost at list price, about", cell: costText, kind: "number" },
      ],
    }),
    h(
      "p",
      { class: "help" },
      [
        from("evaluation") ? "As in an earlier evaluation with the same agents." : null,
        from("prompt") ? "Estimated from the length of the prompt." : null,
        "Retries are not counted.",
      ]
        .filter(Boolean)
        .join(" "),
    ),
  );
}

function costText({ calls, cost_usd: cost, emulated }) {
  if (!calls) return "no calls";
  if (emulated) return EMULATED;
  return cost === null ? "no price" : usd(cost);
}
