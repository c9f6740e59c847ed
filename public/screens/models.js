// Models: which one answers, which ones stand behind it, and what runs beside it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, date, NOTHING, usd } from "../format.js";
import { actionButton, badge, button, facts } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { openTab } from "../parts/tabbed.js";
import { table } from "../parts/table.js";
import { challengerTab } from "./models_challenger.js";
import { classifierTab } from "./models_classifier.js";
import { edit, register, retire } from "./models_edit.js";
import { fallbackTab } from "./models_fallbacks.js";
import { select } from "./models_select.js";

const TEXT =
  "The active model answers what the classifier and the kept answers do not; its fallbacks stand in for it.";

export const open = (page) =>
  openTab(page, "models", "Models", TEXT, [
    ["Models", "", modelsTab],
    ["Fallbacks", "fallbacks", fallbackTab],
    ["Classifier", "classifier", classifierTab],
    ["Challenger", "challenger", challengerTab],
  ]);

async function modelsTab({ signal, may }, room) {
  const show = () =>
    load(
      room,
      () => Promise.all([readModels(signal), api("GET", "/v1/models/select", { signal })]),
      ([models, selection]) => modelList(models, selection, { may, signal, show }),
      { signal, keep: true },
    );
  await show();
}

function modelList(models, selection, context) {
  const { may, show } = context;
  const rows = h("div", {});
  const search = field({ name: "search", label: "Find", placeholder: "a part of the name" });
  const type = field({
    name: "type",
    label: "Type",
    type: "select",
    options: [
      [null, "All"],
      ["base", "Base"],
      ["lora", "LoRA"],
      ["classifier", "Classifier"],
    ],
  });
  const narrow = () => {
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
        : empty("No model is called so", "Look for another part of its name."),
    );
  };
  for (const one of [search, type]) one.element.addEventListener("input", narrow);
  narrow();
  return [
    current(selection, context),
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
            actionButton("Ask Workers AI for its models", async () => {
              const { models: known, added } = await api("POST", "/v1/models/refresh");
              notice(`Workers AI has ${known} models, ${added.length} of them new.`);
              await show();
            }),
            button("Register a model", () => register(models, show), { kind: "main" }),
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
    { class: "card spread" },
    facts([
      ["Active model", h("strong", { class: "wrap" }, selection.active)],
      ["Before it", selection.previous],
      ["Classifier in front", selection.classifier ?? "none"],
      ["Challenger", selection.challenger?.model_id],
    ]),
    back && may("admin")
      ? actionButton(`Roll back to ${selection.previous}`, async () => {
          await api("POST", "/v1/models/select", {
            body: { model_id: selection.previous, expected_active: selection.active },
          });
          notice(`${selection.previous} answers again.`);
          await show();
        })
      : null,
  );
}

function modelTable(models, selection, { may, show, signal }) {
  const actions = (model) => {
    if (!may("admin")) return null;
    return [
      !model.active && model.status === "available"
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
  };
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
              h("span", { class: "wrap" }, model.id),
              model.active ? badge("active", "good") : null,
            ),
            model.aliases.length
              ? h("span", { class: "help" }, `also ${model.aliases.join(", ")}`)
              : null,
            model.type === "lora" ? h("span", { class: "help" }, `on ${model.base_model}`) : null,
            model.suspended ? h("span", { class: "fault" }, model.suspended) : null,
          ),
      },
      {
        head: "Type",
        cell: (model) =>
          badge(
            { base: "Base", lora: "LoRA", classifier: "Classifier" }[model.type],
            model.type === "lora" ? "accent" : undefined,
          ),
      },
      { head: "By", cell: (model) => model.provider },
      {
        head: "Status",
        cell: (model) => [
          stateBadge(model.status),
          model.deprecated ? badge("Deprecated", "bad") : null,
          model.planned_deprecation_date
            ? h("div", { class: "help" }, `ends ${date(model.planned_deprecation_date)}`)
            : null,
        ],
      },
      { head: "Context", cell: (model) => count(model.context_window), kind: "number" },
      {
        head: "In / out, $ per 1M",
        cell: (model) =>
          model.pricing
            ? `${usd(model.pricing.input_per_million)} / ${usd(model.pricing.output_per_million)}`
            : NOTHING,
        kind: "number",
      },
      { head: "Takes LoRA", cell: (model) => (model.supports_lora ? "yes" : "no") },
      { head: "Actions", kind: "actions", cell: actions },
    ],
  });
}
