// The routing layers, in the order in which charts stack them.

import { layerName } from "./decision.js";

export const LAYERS = ["llm", "classifier", "cache", "fallback", "direct", "label"];

/** One series for each layer, over the periods of the analytics. */
export const layerSeries = (periods) =>
  LAYERS.map((layer) => ({
    label: layerName(layer),
    values: periods.map((period) => period.layers[layer] ?? 0),
  }));
