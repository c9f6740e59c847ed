// The models, for choices on any screen.

/** Those that can be asked by name: a classifier is none. */
export const askable = (models) =>
  comparable(models).filter((model) => model.type !== "classifier");

/** Those that an evaluation can compare: classifiers too. */
export const comparable = (models) => models.filter((model) => model.status === "available");
