// The models, for choices on any screen.

import { everything } from "../api.js";

/** Without the router and the agents, which a chat can name but nobody can select. */
export const readModels = (signal) =>
  everything("/v1/models", { query: { type: "base,lora,classifier" }, signal });

/** Those that can be asked by name: a classifier is none. */
export const askable = (models) =>
  comparable(models).filter((model) => model.type !== "classifier");

/** Those that an evaluation can compare: classifiers too. */
export const comparable = (models) => models.filter((model) => model.status === "available");
