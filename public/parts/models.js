// The models, for choices on any screen.

/** Those that can be asked by name: a classifier is none. */
export const askable = (models) =>
  models.filter((model) => model.status === "available" && model.type !== "classifier");
