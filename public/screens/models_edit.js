// Registering, editing and retiring models.

import { ApiError, api } from "../api.js";
import { h } from "../dom.js";
import { confirm } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { notice } from "../parts/notice.js";

export async function register(models, show) {
  const bases = models
    .filter((model) => model.type === "base")
    .map((model) => [model.id, model.id]);
  const made = await formDialog({
    title: "Register model",
    action: "Register",
    fields: [
      {
        name: "id",
        label: "Name",
        required: true,
        help: "The ID of a base, decision or embedding model at Workers AI, such as @cf/vendor/name, or the name of an adapter.",
      },
      {
        name: "type",
        label: "Type",
        type: "select",
        value: "base",
        options: [
          ["base", "Base model"],
          ["lora", "LoRA adapter"],
          ["decision", "Decision model"],
          ["embedding", "Embedding model"],
        ],
      },
      {
        name: "base_model",
        label: "Base model of an adapter",
        type: "select",
        options: [[null, "none"], ...bases],
      },
      { name: "aliases", label: "Aliases, one per line", type: "lines", rows: 2 },
      { name: "context_window", label: "Context window (tokens)", type: "number", min: 1 },
      {
        name: "input",
        label: "Input price (USD per 1M tokens)",
        type: "number",
        min: 0,
        step: "any",
      },
      {
        name: "output",
        label: "Output price (USD per 1M tokens)",
        type: "number",
        min: 0,
        step: "any",
      },
    ],
    async onSubmit({ input, output, ...values }, idempotencyKey) {
      const body = given({ ...values, pricing: pricingOf(input, output) });
      return api("POST", "/v1/models", { body, idempotencyKey });
    },
  });
  if (!made) return;
  notice(`${made.id} registered.`);
  await show();
}

/** The API's pricing from both prices; null if there are none. */
function pricingOf(input, output) {
  if (input === null && output === null) return null;
  if (input === null || output === null) {
    const param = input === null ? "input" : "output";
    throw new ApiError("Enter both prices, or none.", { status: 400, param });
  }
  return { input_per_million: input, output_per_million: output };
}

const given = (values) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));

const OWN_PROVIDER = "workers-ai"; // the type of any other model is its provider's to say

const typeField = (model) => ({
  name: "type",
  label: "Type",
  type: "select",
  value: model.type,
  options: [
    ["base", "Base model"],
    ["decision", "Decision model"],
    ["embedding", "Embedding model"],
  ],
  help: "A base model writes text, a decision model answers questions with probabilities, an embedding model turns texts into vectors.",
});

/** What only models that write text have. */
const textFields = (model) => [
  {
    name: "json_mode",
    label: "Supports JSON mode",
    type: "checkbox",
    value: model.json_mode,
  },
  {
    name: "logprobs",
    label: "Returns token probabilities (used as confidence)",
    type: "checkbox",
    value: model.logprobs,
  },
  {
    name: "supports_lora",
    label: "Supports LoRA adapters",
    type: "checkbox",
    value: model.supports_lora,
  },
];

export async function edit(model, show) {
  const saved = await formDialog({
    title: `Edit ${model.id}`,
    fields: [
      ...(model.provider === OWN_PROVIDER && model.type !== "lora" ? [typeField(model)] : []),
      {
        name: "aliases",
        label: "Aliases, one per line",
        type: "lines",
        rows: 3,
        value: model.aliases,
        help: "Callers can use these names too.",
      },
      {
        name: "context_window",
        label: "Context window (tokens)",
        type: "number",
        min: 1,
        value: model.context_window,
      },
      {
        name: "input",
        label: "Input price (USD per 1M tokens)",
        type: "number",
        min: 0,
        step: "any",
        value: model.pricing?.input_per_million,
      },
      {
        name: "output",
        label: "Output price (USD per 1M tokens)",
        type: "number",
        min: 0,
        step: "any",
        value: model.pricing?.output_per_million,
      },
      ...(["decision", "embedding"].includes(model.type) ? [] : textFields(model)),
      {
        name: "status",
        label: "Status",
        type: "select",
        value: model.status,
        options: [
          ...(model.status === "retired" ? [["retired", "retired"]] : []),
          ["available", "available"],
          ["not_ready", "not ready"],
        ],
      },
    ],
    async onSubmit({ input, output, ...values }) {
      const before = {
        ...model,
        pricing: pricingOf(
          model.pricing?.input_per_million ?? null,
          model.pricing?.output_per_million ?? null,
        ),
      };
      const body = changed({ ...values, pricing: pricingOf(input, output) }, before);
      return api("PATCH", `/v1/models/${encodeURIComponent(model.id)}`, { body });
    },
  });
  if (!saved) return;
  notice(`${model.id} saved.`);
  await show();
}

export async function retire(model, show) {
  const done = await confirm({
    title: `Retire ${model.id}?`,
    body: h(
      "p",
      {},
      "The model is no longer called. Its logs are kept, and you can make it available again.",
    ),
    action: "Retire",
    danger: true,
    act: () => api("DELETE", `/v1/models/${encodeURIComponent(model.id)}`),
  });
  if (!done) return;
  notice(`${model.id} retired.`);
  await show();
}
