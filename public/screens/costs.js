// Costs: what a month costs on Cloudflare, by who answers. The address has the inputs.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { compact, count, NOTHING, percent, usd } from "../format.js";
import { card, facts, figure, pageHead } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { load } from "../parts/loading.js";
import { table } from "../parts/table.js";

const SHARES = ["cache", "classifier", "embedding"];
const LAYERS = {
  cache: "Cache, labels, rules, sessions",
  classifier: "Classifier",
  embedding: "Embedding stage",
  model: "Routing model",
};
const ITEMS = {
  workers_requests: "Workers requests",
  workers_cpu: "Workers CPU time",
  d1_rows_written: "D1 rows written",
  d1_rows_read: "D1 rows read",
  d1_storage: "D1 storage",
  workers_logs: "Workers Logs",
  model_prompt: "Model, prompt tokens",
  model_completion: "Model, completion tokens",
  embedding_prompt: "Embedding model, tokens",
};

export async function open({ root, query, signal }) {
  const body = h("div", { class: "stack" });
  const models = await api("GET", "/v1/models", {
    query: { type: "base,lora,decision" },
    signal,
  });
  const show = (state) =>
    load(
      body,
      () => api("GET", "/v1/costs", { query: inputs(state), signal }),
      (costs) => view(costs),
      { signal, keep: true },
    );
  replace(
    root,
    pageHead(
      "Costs",
      "An estimate of a month on Cloudflare, against a model for every query. Empty fields: the last 30 days here.",
    ),
    filters({ parts: ["costs"], specs: specs(models.data), query, show, signal }),
    body,
  );
}

const specs = (models) => [
  number("answers", "Requests per month", { min: 1, max: 1e12, step: 1 }),
  number("cache", "Cache, %", { min: 0, max: 100 }),
  number("classifier", "Classifier, %", { min: 0, max: 100 }),
  number("embedding", "Embedding stage, %", { min: 0, max: 100 }),
  {
    name: "model",
    label: "Model",
    type: "select",
    options: [
      [null, "The active model"],
      ...models
        .filter(({ status }) => status === "available")
        .map(({ id, pricing }) => [id, pricing ? id : `${id} (no price)`]),
    ],
  },
  number("prompt_tokens", "Prompt tokens", { min: 0, max: 1_000_000 }),
  number("completion_tokens", "Completion tokens", { min: 0, max: 1_000_000 }),
];

const number = (name, label, bounds) => ({
  name,
  label,
  type: "number",
  step: "any",
  ...bounds,
});

/** The form has shares in percent, as pages show them; the API has them from 0 to 1. */
const inputs = (state) =>
  Object.fromEntries(
    Object.entries(state).map(([name, value]) => [
      name,
      SHARES.includes(name) && value !== null ? Number(value) / 100 : value,
    ]),
  );

function view(costs) {
  const { costs: mix, model_only: alone } = costs;
  return [
    h(
      "div",
      { class: "figures" },
      figure("Per month", usd(mix.total_usd), {
        note: `${usd(mix.platform_usd)} Cloudflare, ${usd(mix.models_usd)} models`,
      }),
      figure("Per million requests", usd(mix.usd_per_million_answers)),
      figure("Model only, per month", usd(alone.total_usd), {
        note: `${usd(alone.platform_usd)} Cloudflare, ${usd(alone.models_usd)} models`,
      }),
      figure("Saved per month", usd(costs.saved_usd), {
        note: costs.saved_usd === null ? "the model has no known price" : "against model only",
      }),
    ),
    card("Computed with", facts(used(costs))),
    items(mix, alone),
    h(
      "p",
      { class: "muted" },
      `Prices of Cloudflare's Workers Paid plan and of the models as of ${costs.prices_as_of}. The tokens of chat answers are not included.`,
    ),
  ];
}

function used(costs) {
  const source = (name) =>
    costs.measured.includes(name)
      ? " (measured here)"
      : costs.assumed.includes(name)
        ? " (assumed)"
        : "";
  return [
    ["Requests per month", `${count(costs.answers)}${source("answers")}`],
    ...Object.entries(LAYERS).map(([layer, title]) => [
      title,
      `${percent(costs.shares[layer])}${source(layer)}`,
    ]),
    ["Model", costs.model],
    ["Prompt tokens per decision", `${count(costs.prompt_tokens)}${source("prompt_tokens")}`],
    [
      "Completion tokens per decision",
      `${count(costs.completion_tokens)}${source("completion_tokens")}`,
    ],
  ];
}

function items(mix, alone) {
  const compared = new Map(alone.items.map((each) => [each.item, each]));
  return table({
    caption: "Cost per month by item",
    rows: mix.items,
    columns: [
      { head: "Item", cell: ({ item }) => ITEMS[item] ?? item, heading: true, kind: "wide" },
      { head: "Unit", cell: ({ unit }) => unit },
      { head: "Quantity", cell: ({ quantity }) => compact(quantity), kind: "number" },
      {
        head: "Included",
        cell: ({ included }) => (included ? compact(included) : NOTHING),
        kind: "number",
      },
      { head: "Cost", cell: (each) => usd(each.usd), kind: "number" },
      {
        head: "Model only",
        cell: ({ item }) => (compared.has(item) ? usd(compared.get(item).usd) : NOTHING),
        kind: "number",
      },
    ],
  });
}
