// What an evaluation compares, in words.

export const PIPELINE = "pipeline"; // the id of the configuration in force

const AS_IT_RUNS = "Router as it runs";

/** The name of a contestant. With the target "pipeline" a model is the router with that model. */
export function contestant(evaluation, id) {
  if (id === PIPELINE) return AS_IT_RUNS;
  return evaluation.target === PIPELINE ? `Router with ${id}` : id;
}

/** Options of a select. */
export const contestantOptions = (evaluation) =>
  evaluation.model_ids.map((id) => [id, contestant(evaluation, id)]);

/** What the calls of a contestant cost. An emulated model has a list price, but nobody pays it. */
export const EMULATED = "emulated: no cost";
