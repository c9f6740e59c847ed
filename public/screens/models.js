// Models: which one answers, which ones stand behind it, and what runs beside it.

import { api, everything } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, count, date, ms, percent, plural, points, time, usd } from "../format.js";
import { actionButton, badge, button, card, facts, link, pageHead, tabs } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field, formDialog } from "../parts/form.js";
import { stateBadge } from "../parts/job.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { go } from "../router.js";
import { classifierTab } from "./models_classifier.js";
import { fallbackTab } from "./models_fallbacks.js";

const TABS = [
  ["Models", "#/models"],
  ["Fallbacks", "#/models/fallbacks"],
  ["Classifier", "#/models/classifier"],
  ["Candidate", "#/models/candidate"],
];
const VIEWS = { fallbacks: fallbackTab, classifier: classifierTab, candidate: candidateTab };

export async function open(page) {
  const [tab] = page.path;
  const room = h("div", { class: "stack" });
  replace(
    page.root,
    pageHead("Models", "The active model answers what the classifier and the kept answers do not; its fallbacks stand in for it."),
    tabs("Models", tab ? `#/models/${tab}` : "#/models", TABS),
    room,
  );
  await (VIEWS[tab] ?? modelsTab)(page, room);
}

async function modelsTab({ signal, may }, room) {
  const show = () =>
    load(
      room,
      () => Promise.all([everything("/v1/models", { signal }), api("GET", "/v1/models/select", { signal })]),
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
    options: [[null, "All"], ["base", "Base"], ["lora", "LoRA"], ["classifier", "Classifier"]],
  });
  const narrow = () => {
    const words = (search.value() ?? "").toLowerCase();
    const shown = models.filter((model) => (!type.value() || model.type === type.value()) && [model.id, ...model.aliases].some((name) => name.toLowerCase().includes(words)));
    replace(rows, shown.length ? modelTable(shown, selection, context) : empty("No model is called so", "Look for another part of its name."));
  };
  for (const one of [search, type]) one.element.addEventListener("input", narrow);
  narrow();
  return [
    current(selection, context),
    h(
      "div",
      { class: "spread" },
      h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, search.element, type.element),
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
      ["Beside it", selection.shadow?.model_id],
    ]),
    back && may("admin")
      ? actionButton(`Roll back to ${selection.previous}`, async () => {
          await api("POST", "/v1/models/select", { body: { model_id: selection.previous, expected_active: selection.active } });
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
      !model.active && model.status === "available" ? button("Select", () => select(model, selection, models, show, signal), { size: "small", label: `Select ${model.id}` }) : null,
      model.type === "classifier" ? null : button("Edit", () => edit(model, show), { size: "small", label: `Edit ${model.id}` }),
      model.type === "classifier" || model.active || model.status === "retired" ? null : button("Retire", () => retire(model, show), { size: "small", kind: "plain", label: `Retire ${model.id}` }),
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
            h("span", { class: "row" }, h("span", { class: "wrap" }, model.id), model.active ? badge("active", "good") : null),
            model.aliases.length ? h("span", { class: "help" }, `also ${model.aliases.join(", ")}`) : null,
            model.type === "lora" ? h("span", { class: "help" }, `on ${model.base_model}`) : null,
            model.suspended ? h("span", { class: "fault" }, model.suspended) : null,
          ),
      },
      { head: "Type", cell: (model) => badge({ base: "Base", lora: "LoRA", classifier: "Classifier" }[model.type], model.type === "lora" ? "accent" : undefined) },
      { head: "By", cell: (model) => model.provider },
      { head: "Status", cell: (model) => [stateBadge(model.status), model.planned_deprecation_date ? h("div", { class: "help" }, `ends ${date(model.planned_deprecation_date)}`) : null] },
      { head: "Context", cell: (model) => count(model.context_window), kind: "number" },
      { head: "In / out, $ per 1M", cell: (model) => (model.pricing ? `${usd(model.pricing.input_per_million)} / ${usd(model.pricing.output_per_million)}` : NOTHING), kind: "number" },
      { head: "Takes LoRA", cell: (model) => (model.supports_lora ? "yes" : "no") },
      { head: "Actions", kind: "actions", cell: actions },
    ],
  });
}

async function select(model, selection, models, show, signal) {
  if (model.type === "classifier") {
    await confirm({
      title: `Put ${model.id} in front?`,
      body: h("p", {}, `Where it is sure it answers, without a model call. Now: ${selection.classifier ?? "no classifier"}.`),
      action: "Put it in front",
      act: () => api("POST", "/v1/models/select", { body: { model_id: model.id, type: "classifier", expected_active: selection.classifier } }),
    });
    await show();
    return;
  }
  const active = models.find((one) => one.id === selection.active);
  const gateRoom = h("div", {});
  const gate = field({ name: "gate", label: "Only if it is not worse on held-out labels", type: "checkbox", value: model.type === "lora" });
  const shadow = field({
    name: "shadow",
    label: "Run it beside the active model for so many percent of the answers instead",
    type: "number",
    min: 0,
    max: 100,
    help: "Then it answers nobody. Its answers are compared under Candidate.",
  });
  load(
    gateRoom,
    () => api("GET", "/v1/models/select", { query: { candidate: model.id }, signal }),
    ({ gate: opinion }) =>
      h(
        "div",
        { class: "panel", "data-kind": opinion.open ? "good" : "warn" },
        h("strong", {}, opinion.open ? "The gate is open." : "The gate is shut."),
        h("p", {}, opinion.message),
        opinion.verdict ? h("p", { class: "small" }, verdict(opinion.verdict)) : null,
        opinion.open ? null : link("Evaluate both", `#/evaluations?models=${encodeURIComponent([selection.active, model.id].join("\n"))}`),
      ),
    { signal },
  );
  const done = await confirm({
    title: `Select ${model.id}?`,
    body: h("div", { class: "stack" }, changes(active, model), gateRoom, gate.element, shadow.element),
    action: "Select",
    act: () => {
      const percentage = shadow.value();
      const body = { model_id: model.id, expected_active: selection.active };
      if (gate.value()) body.gate = true;
      if (percentage !== null) body.shadow = percentage;
      return api("POST", "/v1/models/select", { body });
    },
  });
  if (!done) return;
  notice(done.shadow ? `${done.shadow} runs beside ${done.active}.` : `${done.active} answers from now on.`);
  await show();
}

const verdict = ({ n, difference, low, high, p_worse: p }) =>
  `Accuracy ${points(difference)} against the active model (${points(low)} to ${points(high)}) on ${plural(n, "label")}; p of being worse ${p.toPrecision(2)}.`;

function changes(before, after) {
  const price = (model) => (model?.pricing ? `${usd(model.pricing.input_per_million)} / ${usd(model.pricing.output_per_million)}` : "not known");
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
    h("p", { class: "help" }, "Answers kept of the model now are not used for the other one. Rolling back is one click."),
  ];
}

async function register(models, show) {
  const bases = models.filter((model) => model.type === "base").map((model) => [model.id, model.id]);
  const made = await formDialog({
    title: "Register a model",
    action: "Register",
    fields: [
      { name: "id", label: "Name", required: true, help: "A base model's id at Workers AI, such as @cf/vendor/name; an adapter's name." },
      { name: "type", label: "Type", type: "select", value: "base", options: [["base", "Base model"], ["lora", "LoRA adapter"]] },
      { name: "base_model", label: "Base model of an adapter", type: "select", options: [[null, "none"], ...bases] },
      { name: "aliases", label: "Other names, one a line", type: "lines", rows: 2 },
      { name: "context_window", label: "Context window in tokens", type: "number", min: 1 },
      { name: "input", label: "USD per million tokens in", type: "number", min: 0, step: "any" },
      { name: "output", label: "USD per million tokens out", type: "number", min: 0, step: "any" },
    ],
    async onSubmit({ input, output, ...values }, once) {
      const body = given(values);
      if (input !== null && output !== null) body.pricing = { input_per_million: input, output_per_million: output };
      return api("POST", "/v1/models", { body, once });
    },
  });
  if (!made) return;
  notice(`${made.id} is registered.`);
  await show();
}

const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));

async function edit(model, show) {
  const saved = await formDialog({
    title: `Edit ${model.id}`,
    fields: [
      { name: "aliases", label: "Other names, one a line", type: "lines", rows: 3, value: model.aliases, help: "Callers may ask by these too." },
      { name: "context_window", label: "Context window in tokens", type: "number", min: 1, value: model.context_window },
      { name: "input", label: "USD per million tokens in", type: "number", min: 0, step: "any", value: model.pricing?.input_per_million },
      { name: "output", label: "USD per million tokens out", type: "number", min: 0, step: "any", value: model.pricing?.output_per_million },
      { name: "json_mode", label: "It answers in JSON mode", type: "checkbox", value: model.json_mode },
      { name: "supports_lora", label: "It takes LoRA adapters", type: "checkbox", value: model.supports_lora },
      { name: "status", label: "Status", type: "select", value: model.status === "not_ready" ? "not_ready" : "available", options: [["available", "available"], ["not_ready", "not ready"]] },
    ],
    onSubmit({ input, output, ...values }) {
      const pricing = input === null || output === null ? null : { input_per_million: input, output_per_million: output };
      return api("PATCH", `/v1/models/${encodeURIComponent(model.id)}`, { body: { ...values, pricing } });
    },
  });
  if (!saved) return;
  notice(`${model.id} is saved.`);
  await show();
}

async function retire(model, show) {
  const done = await confirm({
    title: `Retire ${model.id}?`,
    body: h("p", {}, "It is asked no more. Its logs stay, and it can be made available again."),
    action: "Retire",
    danger: true,
    act: () => api("DELETE", `/v1/models/${encodeURIComponent(model.id)}`),
  });
  if (!done) return;
  notice(`${model.id} is retired.`);
  await show();
}

async function candidateTab({ signal, may }, room) {
  const show = () => load(room, () => api("GET", "/v1/models/select", { signal }), (selection) => candidateView(selection, { may, show }), { signal, keep: true });
  await show();
}

function candidateView(selection, { may, show }) {
  const { shadow, active } = selection;
  if (!shadow) {
    return empty(
      "No candidate runs beside the active model",
      "Select a model with a percentage, and it is asked beside the active one for so many of the answers, without answering anybody.",
      button("To the models", () => go(["models"])),
    );
  }
  const sides = [
    ["Active", shadow.active],
    ["Candidate", shadow.candidate],
  ];
  return [
    card(
      `${shadow.model_id} beside ${active}`,
      facts([
        ["Since", time(shadow.since)],
        ["Of the answers", `${shadow.percent} %`],
        ["Compared", count(shadow.compared)],
        ["The same answer", shadow.compared ? percent(shadow.agree / shadow.compared) : NOTHING],
        ["Failed", count(shadow.failed)],
        ["Its cost", usd(shadow.cost_usd)],
        ["Labelled", count(shadow.labelled)],
        ["Accuracy against the active", shadow.labelled ? `${points(shadow.difference)} (${points(shadow.low)} to ${points(shadow.high)})` : "no labels yet"],
        ["Labels more that the rules wait for", count(shadow.labels_wanted)],
      ]),
    ),
    table({
      caption: "Side by side, on what is compared",
      rows: sides,
      columns: [
        { head: "Side", cell: ([name]) => name, heading: true },
        { head: "Model", cell: ([, side]) => side.model_id, kind: "wide" },
        { head: "Right", cell: ([, side]) => (shadow.labelled ? percent(side.right / shadow.labelled) : NOTHING), kind: "number" },
        { head: "p50", cell: ([, side]) => ms(side.p50_ms), kind: "number" },
        { head: "p95", cell: ([, side]) => ms(side.p95_ms), kind: "number" },
      ],
    }),
    h("p", { class: "help" }, `Promotion by rule is ${selection.auto_promote ? "on" : "off"}, roll-back by rule ${selection.auto_rollback ? "on" : "off"}; both are in the settings.`),
    may("admin")
      ? h(
          "div",
          { class: "row" },
          actionButton(
            "Select the candidate",
            async () => {
              await api("POST", "/v1/models/select", { body: { model_id: shadow.model_id, expected_active: active } });
              notice(`${shadow.model_id} answers from now on.`);
              await show();
            },
            { kind: "main" },
          ),
          actionButton("End the comparison", async () => {
            await api("POST", "/v1/models/select", { body: { model_id: null, type: "shadow" } });
            await show();
          }),
        )
      : null,
  ];
}
