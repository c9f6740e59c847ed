// Lists of models, for all screens.

import { api } from "../api.js";

/** The types of models, and their names. Those for embeddings are named in the settings. */
export const TYPES = {
  base: "Base",
  lora: "LoRA",
  decision: "Decision",
  embedding: "Embedding",
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

/** Models that can route, including classifiers. */
export const comparable = (models) =>
  models.filter((model) => model.status === "available" && model.type !== "embedding");
