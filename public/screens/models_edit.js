// Models as they are registered, changed and retired.

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
    title: "Register a model",
    action: "Register",
    fields: [
      {
        name: "id",
        label: "Name",
        required: true,
        help: "A base model's id at Workers AI, such as @cf/vendor/name; an adapter's name.",
      },
      {
        name: "type",
        label: "Type",
        type: "select",
        value: "base",
        options: [
          ["base", "Base model"],
          ["lora", "LoRA adapter"],
        ],
      },
      {
        name: "base_model",
        label: "Base model of an adapter",
        type: "select",
        options: [[null, "none"], ...bases],
      },
      { name: "aliases", label: "Other names, one a line", type: "lines", rows: 2 },
      { name: "context_window", label: "Context window in tokens", type: "number", min: 1 },
      { name: "input", label: "USD per million tokens in", type: "number", min: 0, step: "any" },
      { name: "output", label: "USD per million tokens out", type: "number", min: 0, step: "any" },
    ],
    async onSubmit({ input, output, ...values }, once) {
      const body = given({ ...values, pricing: pricingOf(input, output) });
      return api("POST", "/v1/models", { body, once });
    },
  });
  if (!made) return;
  notice(`${made.id} is registered.`);
  await show();
}

/** Of both prices; null for none. */
function pricingOf(input, output) {
  if (input === null && output === null) return null;
  if (input === null || output === null) {
    const param = input === null ? "input" : "output";
    throw new ApiError("Give both prices, or none.", { status: 400, param });
  }
  return { input_per_million: input, output_per_million: output };
}

const given = (values) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));

export async function edit(model, show) {
  const saved = await formDialog({
    title: `Edit ${model.id}`,
    fields: [
      {
        name: "aliases",
        label: "Other names, one a line",
        type: "lines",
        rows: 3,
        value: model.aliases,
        help: "Callers may ask by these too.",
      },
      {
        name: "context_window",
        label: "Context window in tokens",
        type: "number",
        min: 1,
        value: model.context_window,
      },
      {
        name: "input",
        label: "USD per million tokens in",
        type: "number",
        min: 0,
        step: "any",
        value: model.pricing?.input_per_million,
      },
      {
        name: "output",
        label: "USD per million tokens out",
        type: "number",
        min: 0,
        step: "any",
        value: model.pricing?.output_per_million,
      },
      {
        name: "json_mode",
        label: "It answers in JSON mode",
        type: "checkbox",
        value: model.json_mode,
      },
      {
        name: "logprobs",
        label: "It gives token probabilities, which become the confidence",
        type: "checkbox",
        value: model.logprobs,
      },
      {
        name: "supports_lora",
        label: "It takes LoRA adapters",
        type: "checkbox",
        value: model.supports_lora,
      },
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
  notice(`${model.id} is saved.`);
  await show();
}

export async function retire(model, show) {
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
