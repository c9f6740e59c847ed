// Analytics of latency by layer, and of agents that are confused with one another.

import { api } from "../api.js";
import { h } from "../dom.js";
import { compact, count, ms, percent } from "../format.js";
import { agentName, NO_AGENT, readAgents } from "../parts/agents.js";
import { chart } from "../parts/chart.js";
import { card, infoIcon, link } from "../parts/controls.js";
import { layerName } from "../parts/decision.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { LAYERS, layerColor } from "../parts/layers.js";
import { load } from "../parts/loading.js";
import { logsAt } from "../parts/log_links.js";
import { table } from "../parts/table.js";

/** A card that loads a report of the range. */
function report(title, path, { from, to }, signal, show, info) {
  const body = h("div", {});
  const read = () =>
    Promise.all([api("GET", path, { query: { from, to }, signal }), readAgents(signal)]);
  load(body, read, ([found, agents]) => show(found, agents), { signal });
  return card(title, body, infoIcon(info));
}

export const latencyByLayer = (analytics, signal) =>
  report(
    "Latency by layer",
    "/v1/analytics/latency",
    analytics,
    signal,
    (found) => latencyView(found, signal),
    DEFINITIONS.latency,
  );

function latencyView({ layers, from, to }, signal) {
  if (!layers.length) return h("p", { class: "muted" }, "No requests in this range.");
  return h(
    "div",
    { class: "columns" },
    distribution(layers, { from, to }, signal),
    table({
      caption: "Percentiles by layer",
      rows: layers,
      columns: [
        {
          head: "Layer",
          heading: true,
          cell: ({ layer }) => link(layerName(layer), logsAt({ from, to, layer })),
          sort: ({ layer }) => layerName(layer),
        },
        {
          head: "Requests",
          kind: "number",
          cell: ({ requests }) => count(requests),
          sort: ({ requests }) => requests,
        },
        ...["p50", "p95", "p99"].map((name) => ({
          head: name,
          kind: "number",
          cell: ({ latency_ms: latency }) => ms(latency[name]),
          sort: ({ latency_ms: latency }) => latency[name],
        })),
      ],
    }),
  );
}

/** Bars for spans of latency that double, from the fastest request to the slowest. */
function distribution(layers, range, signal) {
  const parts = layers.flatMap((layer) => layer.distribution);
  const spans = [];
  let low = Math.min(...parts.map((part) => part.from_ms));
  const end = Math.max(...parts.map((part) => part.from_ms));
  for (; low <= end; low = low === 0 ? FIRST_MS : low * 2) spans.push(low);
  const shown = LAYERS.filter((name) => layers.some(({ layer }) => layer === name));
  const at = (layer, from) =>
    layers.find((each) => each.layer === layer).distribution.find((each) => each.from_ms === from);
  const text = layers.map(({ layer, requests }) => `${layerName(layer)} ${count(requests)}`);
  return chart({
    times: spans.map((_, place) => place),
    series: shown.map((layer) => ({
      label: layerName(layer),
      color: layerColor(layer),
      values: spans.map((from) => at(layer, from)?.requests ?? 0),
    })),
    stacked: true,
    format: compact,
    formatX: (place) => (Number.isInteger(place) && place in spans ? `≥ ${ms(spans[place])}` : ""),
    hrefOf: (place, which) =>
      logsAt({
        ...range,
        layer: which === null ? null : shown[which],
        min_latency_ms: spans[place],
        max_latency_ms: spans[place + 1] ?? null,
      }),
    label: `Requests by latency and layer: ${text.join(", ")}; the table has the percentiles.`,
    signal,
  });
}

const FIRST_MS = 0.0625; // all below is one span

export const confusions = (analytics, signal) =>
  report(
    "Most confused agents",
    "/v1/analytics/confusions",
    analytics,
    signal,
    confusionView,
    DEFINITIONS.confusions,
  );

function confusionView({ pairs, from, to }, agents) {
  if (!pairs.length)
    return h("p", { class: "muted" }, "No labeled request of this range was routed wrong.");
  const share = (part, all) =>
    all ? `${count(part)} of ${count(all)} (${percent(part / all, 0)})` : "0";
  return table({
    caption: "Label and decision",
    hideCaption: true,
    rows: pairs,
    columns: [
      { head: "Label", heading: true, cell: ({ label }) => agentName(agents, label) },
      { head: "Routed to", cell: ({ decided }) => agentName(agents, decided) },
      {
        head: "Random sample",
        kind: "number",
        cell: (pair) => share(pair.sampled, pair.sampled_of),
        sort: (pair) => pair.sampled,
      },
      {
        head: "Other labels",
        kind: "number",
        cell: (pair) => share(pair.other, pair.other_of),
        sort: (pair) => pair.other,
      },
      {
        head: "Actions",
        kind: "actions",
        cell: ({ label, decided }) =>
          link(
            "View requests",
            logsAt({
              from,
              to,
              label: label ?? NO_AGENT,
              agent: decided,
            }),
            { size: "small" },
          ),
      },
    ],
  });
}
