// One model: what it is, what it costs, and its calibration.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, date, NOTHING, usd } from "../format.js";
import { calibrationFacts, removeCalibration } from "../parts/calibration.js";
import { badge, button, card, facts, link, pageHead } from "../parts/controls.js";
import { stateBadge } from "../parts/job.js";
import { load } from "../parts/loading.js";
import { TYPES } from "../parts/models.js";
import { address } from "../router.js";

const PURPOSES = {
  base: "Writes text: it names the agent in its answer, and can answer chats.",
  lora: "A LoRA adapter on a base model: it names the agent in its answer.",
  decision: "Answers questions with probabilities, and writes no text. It cannot chat.",
  embedding: "Turns texts into vectors, for the classifier.",
  classifier: "Trained on the labels. It decides inside the Worker, before the active model.",
};

export async function showModel({ root, signal, may, detail }, id) {
  const body = h("div", { class: "stack" });
  detail(id, id);
  replace(root, pageHead(id), body);
  const show = () =>
    load(
      body,
      () => api("GET", `/v1/models/${encodeURIComponent(id)}`, { signal }),
      (model) => [
        modelCard(model),
        model.calibration ? calibrationCard(model, { may, show }) : null,
      ],
      { signal, keep: true },
    );
  await show();
}

const modelCard = (model) =>
  card(
    null,
    h(
      "div",
      { class: "row" },
      h("p", {}, PURPOSES[model.type]),
      model.active ? badge("active", "good") : null,
      stateBadge(model.status),
    ),
    modelFacts(model),
    model.type === "classifier" || model.type === "embedding"
      ? null
      : h("div", {}, link("Its requests", requestsOf(model), { size: "small" })),
  );

/** The logs name an adapter, and a base model by its id. */
const requestsOf = ({ adapter, base_model: base }) => address(["logs"], { model: adapter ?? base });

function calibrationCard(model, { may, show }) {
  const remove = async () => {
    if (await removeCalibration(model)) await show();
  };
  return card(
    "Calibration",
    calibrationFacts(model.calibration),
    may("admin") ? h("div", {}, button("Remove calibration", remove, { size: "small" })) : null,
  );
}

const yesNo = (value) => (value ? "yes" : "no");

function modelFacts(model) {
  const text = model.type === "base" || model.type === "lora";
  const trained = model.type === "classifier";
  return facts([
    ["Type", TYPES[model.type]],
    ["Provider", model.provider],
    ["Base model", model.base_model === model.id ? null : model.base_model],
    ["Aliases", model.aliases.join(", ") || null],
    ["Context window", trained ? null : `${count(model.context_window)} tokens`],
    ["Input price (USD per 1M tokens)", trained ? null : price(model, "input_per_million")],
    ["Output price (USD per 1M tokens)", trained ? null : price(model, "output_per_million")],
    ["JSON mode", text ? yesNo(model.json_mode) : null],
    ["Token probabilities", text ? yesNo(model.logprobs) : null],
    ["LoRA-ready", model.type === "base" ? yesNo(model.supports_lora) : null],
    ["Labels", trained ? count(model.labels) : null],
    ["Size", trained ? bytes(model.size) : null],
    ["Ends on", model.planned_deprecation_date ? date(model.planned_deprecation_date) : null],
  ]);
}

const price = ({ pricing }, name) => (pricing ? usd(pricing[name]) : NOTHING);
