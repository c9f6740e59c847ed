// Providers: model vendors behind AI Gateway. Their API keys are secrets of the Worker.

import { api, listAll } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING } from "../format.js";
import { badge, button, pageHead } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { ADDRESS, ID, SECRET_NAME } from "../parts/patterns.js";
import { table } from "../parts/table.js";

const KINDS = ["workers-ai", "openai", "anthropic", "groq", "openai-compatible", "systemone"].map(
  (kind) => [kind, kind],
);
// Other kinds have no decision models, or all of theirs are.
const DECISION_KINDS = ["openai", "openai-compatible"];

export async function open({ root, signal }) {
  const body = h("div", {});
  const show = () =>
    load(
      body,
      () => listAll("/v1/providers", { signal }),
      (providers) => view(providers, show),
      { signal, keep: true },
    );
  replace(
    root,
    pageHead(
      "Providers",
      "Models of other vendors, called through AI Gateway. Only names of secrets are stored, never keys.",
      button("Add provider", () => edit(null, show), { kind: "main" }),
    ),
    body,
  );
  await show();
}

function view(providers, show) {
  if (!providers.length)
    return empty(
      "Only Workers AI is in use",
      "Add a provider to select its models, or to use them as fallback models.",
      button("Add provider", () => edit(null, show), { kind: "main" }),
    );
  return table({
    caption: "Providers",
    hideCaption: true,
    rows: providers,
    columns: [
      {
        head: "Provider",
        heading: true,
        cell: (one) =>
          h("div", { class: "row" }, one.id, one.enabled ? null : badge("disabled", "warn")),
      },
      { head: "Kind", cell: (one) => one.kind },
      { head: "Base URL", cell: (one) => one.base_url ?? NOTHING, kind: "wide" },
      {
        head: "Secret",
        cell: (one) =>
          one.secret
            ? h(
                "div",
                { class: "row" },
                h("code", {}, one.secret),
                badge(one.secret_set ? "set" : "not set", one.secret_set ? "good" : "bad"),
              )
            : NOTHING,
      },
      { head: "Models", cell: (one) => one.models.join(", ") || NOTHING, kind: "wide" },
      { head: "Decision models", cell: (one) => decisionModels(one).join(", ") || NOTHING },
      { head: "Priced models", cell: (one) => count(priced(one).length), kind: "number" },
      { head: "Priority", cell: (one) => count(one.priority), kind: "number" },
      {
        head: "Actions",
        kind: "actions",
        cell: (one) => [
          button("Edit", () => edit(one, show), { size: "small", label: `Edit ${one.id}` }),
          button("Delete", () => remove(one, show), {
            size: "small",
            kind: "plain",
            label: `Delete ${one.id}`,
          }),
        ],
      },
    ],
  });
}

/** Those that are named; of the kind systemone all are. */
const decisionModels = ({ kind, models, decision_models: named }) =>
  kind === "systemone" ? models : (named ?? []);

/** Prices as the lines of a field, and back. */
const priced = ({ prices }) =>
  Object.entries(prices).map(
    ([model, price]) => `${model} ${price.input_per_million} ${price.output_per_million}`,
  );
const pricesOf = (lines) =>
  Object.fromEntries(
    lines.map((line) => {
      const [model, input, output] = line.split(/\s+/);
      return [model, { input_per_million: Number(input), output_per_million: Number(output) }];
    }),
  );

async function edit(provider, show) {
  const saved = await formDialog({
    title: provider ? `Edit ${provider.id}` : "Add provider",
    fields: [
      ...(provider
        ? []
        : [
            {
              name: "id",
              ...ID,
              label: "ID",
              required: true,
              maxlength: 64,
              help: "Lowercase letters, digits, - and _. Its models are named ID/MODEL.",
            },
            { name: "kind", label: "Kind", type: "select", value: "openai", options: KINDS },
          ]),
      {
        name: "base_url",
        ...ADDRESS,
        label: "Base URL",
        value: provider?.base_url,
        placeholder: "https://…",
        help: "With /v1. Required for openai-compatible and systemone; otherwise only if it differs from the vendor's. A new base URL clears the secret.",
      },
      {
        name: "secret",
        ...SECRET_NAME,
        label: "Secret name",
        value: provider?.secret,
        placeholder: "PROVIDER_OPENAI_KEY",
        help: "Set the secret with npx wrangler secret put NAME. Never enter the key itself here.",
      },
      {
        name: "models",
        label: "Models, one per line",
        type: "lines",
        rows: 4,
        value: provider?.models,
      },
      ...(provider && !DECISION_KINDS.includes(provider.kind)
        ? []
        : [
            {
              name: "decision_models",
              label: "Decision models, one per line",
              type: "lines",
              rows: 2,
              value: provider?.decision_models ?? [],
              help: "Those of the models that answer questions at /decisions and write no text. Empty for systemone, whose models all do.",
            },
          ]),
      {
        name: "prices",
        label: "Prices, one model per line",
        type: "lines",
        rows: 3,
        value: provider ? priced(provider) : [],
        placeholder: "MODEL 0.15 0.60",
        help: "Model, then input and output price in USD per 1M tokens. Keys with a USD budget can only use priced models.",
      },
      {
        name: "priority",
        required: true,
        label: "Priority (lower is called first)",
        type: "number",
        min: 0,
        max: 1000,
        value: provider?.priority ?? 100,
      },
      { name: "enabled", label: "Enabled", type: "checkbox", value: provider?.enabled ?? true },
    ],
    onSubmit(values, idempotencyKey) {
      const body = { ...values, prices: pricesOf(values.prices) };
      // Without a list, models that are known to be decision models are.
      if (!provider && !body.decision_models.length) delete body.decision_models;
      if (!provider) return api("POST", "/v1/providers", { body, idempotencyKey });
      const before = {
        ...provider,
        prices: pricesOf(priced(provider)),
        decision_models: provider.decision_models ?? [],
      };
      return api("PATCH", `/v1/providers/${provider.id}`, { body: changed(body, before) });
    },
  });
  if (!saved) return;
  notice(`${saved.id} saved.`);
  await show();
}

async function remove(provider, show) {
  const done = await confirm({
    title: `Delete ${provider.id}?`,
    body: h("p", {}, "Its models are no longer called."),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `/v1/providers/${provider.id}`),
  });
  if (!done) return;
  notice(`${provider.id} deleted.`);
  await show();
}
