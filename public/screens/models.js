// Models: the active model, its fallback models, the classifier and the challenger.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, date, NOTHING, plural, usd } from "../format.js";
import { actionButton, badge, button, facts } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty, load } from "../parts/loading.js";
import { readModels, TYPES } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { openTab } from "../parts/tabbed.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";
import { challengerTab } from "./models_challenger.js";
import { classifierTab } from "./models_classifier.js";
import { recommendation } from "./models_decision.js";
import { edit, register, retire } from "./models_edit.js";
import { fallbackTab } from "./models_fallbacks.js";
import { historyTab } from "./models_history.js";
import { showModel } from "./models_one.js";
import { select } from "./models_select.js";

const TEXT =
  "The active model decides what the cache and the classifier do not. If it fails, the fallback models are called.";

const TABS = [
  ["Models", "", modelsTab],
  ["Fallback models", "fallbacks", fallbackTab],
  ["Classifier", "classifier", classifierTab],
  ["Challenger", "challenger", challengerTab],
  ["History", "history", historyTab],
];

export function open(page) {
  const [path = ""] = page.path;
  const isTab = TABS.some(([, each]) => each === path);
  return isTab ? openTab(page, "models", "Models", TEXT, TABS) : showModel(page, path);
}

async function modelsTab({ signal, may }, container) {
  const show = () =>
    load(
      container,
      () => Promise.all([readModels(signal), api("GET", "/v1/models/select", { signal })]),
      ([models, selection]) => modelList(models, selection, { may, signal, show }),
      { signal, keep: true },
    );
  await show();
}

function modelList(models, selection, context) {
  const { may, show } = context;
  const rows = h("div", {});
  const search = field({ name: "search", label: "Search", placeholder: "part of the name" });
  const type = field({
    name: "type",
    label: "Type",
    type: "select",
    options: [[null, "All"], ...Object.entries(TYPES)],
  });
  const update = () => {
    const words = (search.value() ?? "").toLowerCase();
    const shown = models.filter(
      (model) =>
        (!type.value() || model.type === type.value()) &&
        [model.id, ...model.aliases].some((name) => name.toLowerCase().includes(words)),
    );
    replace(
      rows,
      shown.length
        ? modelTable(shown, selection, context)
        : empty("No models match", "Change the search or the type."),
    );
  };
  for (const one of [search, type]) one.element.addEventListener("input", update);
  update();
  return [
    current(selection, context),
    recommendation(models, selection, context),
    h(
      "div",
      { class: "spread" },
      h(
        "form",
        { class: "filters", onsubmit: (event) => event.preventDefault() },
        search.element,
        type.element,
      ),
      may("admin")
        ? h(
            "div",
            { class: "row" },
            actionButton("Sync from Workers AI", async () => {
              const { models: known, added } = await api("POST", "/v1/models/refresh");
              notice(`Workers AI: ${plural(known, "model")}, ${added.length} new.`);
              await show();
            }),
            button("Register model", () => register(models, show), { kind: "main" }),
          )
        : null,
    ),
    rows,
  ];
}

function current(selection, { may, show }) {
  const back = selection.previous && selection.previous !== selection.active;
  return h(
    "section",
    { class: "card spread selection" },
    facts([
      ["Active model", h("strong", { class: "wrap" }, selection.active)],
      ["Previous", selection.previous],
      ["Active classifier", selection.classifier ?? "none"],
      ["Challenger", selection.challenger?.model_id],
    ]),
    back && may("admin")
      ? actionButton(`Roll back to ${selection.previous}`, async () => {
          await api("POST", "/v1/models/select", {
            body: { model_id: selection.previous, expected_active: selection.active },
          });
          notice(`${selection.previous} is active again.`);
          await show();
        })
      : null,
  );
}

function modelTable(models, selection, { may, show, signal }) {
  const actions = (model) => (may("admin") ? changes(model) : null);
  const changes = (model) => [
    !model.active && model.status === "available" && model.type !== "embedding"
      ? button("Select", () => select(model, selection, models, show, signal), {
          size: "small",
          label: `Select ${model.id}`,
        })
      : null,
    model.type === "classifier"
      ? null
      : button("Edit", () => edit(model, show), { size: "small", label: `Edit ${model.id}` }),
    model.type === "classifier" || model.active || model.status === "retired"
      ? null
      : button("Retire", () => retire(model, show), {
          size: "small",
          kind: "plain",
          label: `Retire ${model.id}`,
        }),
  ];
  return table({
    caption: "Models",
    hideCaption: true,
    rows: models,
    columns: [
      {
        head: "Model",
        heading: true,
        kind: "wide",
        cell: (model) =>
          h(
            "div",
            { class: "stack-small" },
            h(
              "span",
              { class: "row" },
              h("a", { class: "wrap", href: address(["models", model.id]) }, model.id),
              model.active ? badge("active", "good") : null,
            ),
            model.aliases.length
              ? h("span", { class: "help" }, `aliases: ${model.aliases.join(", ")}`)
              : null,
            model.type === "lora"
              ? h("span", { class: "help" }, `base model: ${model.base_model}`)
              : null,
            model.type === "decision"
              ? h("span", { class: "help" }, "answers questions, writes no text")
              : null,
            model.type === "embedding"
              ? h("span", { class: "help" }, "turns texts into vectors, for the classifier")
              : null,
            model.suspended ? h("span", { class: "error" }, model.suspended) : null,
          ),
      },
      {
        head: "Type",
        cell: (model) =>
          badge(TYPES[model.type], { lora: "accent", decision: "accent" }[model.type]),
      },
      { head: "Provider", cell: (model) => model.provider },
      {
        head: "Status",
        cell: (model) => [
          stateBadge(model.status),
          model.deprecated ? badge("Deprecated", "bad") : null,
          model.planned_deprecation_date
            ? h("div", { class: "help" }, `ends on ${date(model.planned_deprecation_date)}`)
            : null,
        ],
      },
      { head: "Context", cell: (model) => count(model.context_window), kind: "number" },
      {
        head: "Input / output ($ per 1M)",
        cell: (model) =>
          model.pricing
            ? `${usd(model.pricing.input_per_million)} / ${usd(model.pricing.output_per_million)}`
            : NOTHING,
        kind: "number",
      },
      { head: "Actions", kind: "actions", cell: actions },
    ],
  });
}
