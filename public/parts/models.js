// Lists of models, for all screens.

import { api } from "../api.js";

/** The types of models that can be selected, and their names. */
export const TYPES = {
  base: "Base",
  lora: "LoRA",
  decision: "Decision",
  classifier: "Classifier",
};

/** Without `auto` and `agent:ID`, which a chat can name but which cannot be selected. */
export async function readModels(signal) {
  const query = { type: Object.keys(TYPES).join(",") };
  return (await api("GET", "/v1/models", { query, signal })).data; // the list has one page
}

/** Models that can be called by name: all but classifiers. */
export const callable = (models) =>
  comparable(models).filter((model) => model.type !== "classifier");

/** Models that an evaluation can compare, including classifiers. */
export const comparable = (models) => models.filter((model) => model.status === "available");
