// The details of one model.

import { h } from "../dom.js";
import { bytes, count, date, NOTHING, usd } from "../format.js";
import { calibrationFacts, removeCalibration } from "../parts/calibration.js";
import { button, facts } from "../parts/controls.js";
import { openDialog } from "../parts/dialog.js";
import { TYPES } from "../parts/models.js";

const PURPOSES = {
  base: "Writes text: it names the agent in its answer, and can answer chats.",
  lora: "A LoRA adapter on a base model: it names the agent in its answer.",
  decision: "Answers questions with probabilities, and writes no text. It cannot chat.",
  classifier: "Trained on the labels. It decides inside the Worker, before the active model.",
};

/** `show` draws the list again after a change. */
export function showModel(model, { may, show }) {
  const remove = async () => {
    dialog.close();
    if (await removeCalibration(model)) await show();
  };
  const dialog = openDialog({
    title: model.id,
    body: h(
      "div",
      { class: "stack" },
      h("p", {}, PURPOSES[model.type]),
      modelFacts(model),
      model.calibration
        ? h(
            "section",
            { class: "stack-small" },
            h("h3", {}, "Calibration"),
            calibrationFacts(model.calibration),
            may("admin")
              ? h("div", {}, button("Remove calibration", remove, { size: "small" }))
              : null,
          )
        : null,
      h(
        "div",
        { class: "form-actions" },
        button("Close", () => dialog.close(), { kind: "main" }),
      ),
    ),
  });
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
