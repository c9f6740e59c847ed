// The routing layers, in the order in which charts stack them.

import { layerName } from "./decision.js";

// Each layer keeps its color wherever it is in the stack.
const COLORS = {
  llm: 0,
  decision_model: 6,
  classifier: 1,
  cache: 2,
  fallback: 3,
  direct: 4,
  label: 5,
  rule: 7,
  session: 8,
  embedding: 9,
};
export const LAYERS = Object.keys(COLORS);

export const layerColor = (layer) => COLORS[layer];

/** The layers with requests in these periods of the analytics. */
export const usedLayers = (periods) =>
  LAYERS.filter((layer) => periods.some((period) => period.layers[layer]));

/** One series for each of them. */
export const layerSeries = (periods) =>
  usedLayers(periods).map((layer) => ({
    label: layerName(layer),
    color: COLORS[layer],
    values: periods.map((period) => period.layers[layer] ?? 0),
  }));
