// The routing layers, in the order in which charts stack them.

import { compact } from "../format.js";
import { chart } from "./chart.js";
import { layerName } from "./decision.js";
import { logsOf, startsOf } from "./log_links.js";

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
const usedLayers = (periods) =>
  LAYERS.filter((layer) => periods.some((period) => period.layers[layer]));

/** The requests by layer over time. A click on a bar opens its requests. */
export function layerChart(analytics, label, signal) {
  const { series } = analytics;
  const layers = usedLayers(series);
  return chart({
    times: startsOf(analytics),
    series: layers.map((layer) => ({
      label: layerName(layer),
      color: COLORS[layer],
      values: series.map((period) => period.layers[layer] ?? 0),
    })),
    stacked: true,
    format: compact,
    hrefOf: (at, which) =>
      logsOf(analytics, series[at], which === null ? null : { layer: layers[which] }),
    label,
    signal,
  });
}
