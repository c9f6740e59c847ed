// The models, for choices on any screen.

import { api } from "../api.js";

/** Without the router and the agents, which a chat can name but nobody can select. */
export async function readModels(signal) {
  const query = { type: "base,lora,classifier" };
  return (await api("GET", "/v1/models", { query, signal })).data; // the list is one page
}

/** Those that can be asked by name: a classifier is none. */
export const askable = (models) =>
  comparable(models).filter((model) => model.type !== "classifier");

/** Those that an evaluation can compare: classifiers too. */
export const comparable = (models) => models.filter((model) => model.status === "available");
