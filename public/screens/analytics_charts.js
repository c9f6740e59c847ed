// The charts of Analytics over time. A click on a bar opens its requests.

import { h } from "../dom.js";
import { compact, count, ms, percent, usd, words } from "../format.js";
import { chart } from "../parts/chart.js";
import { bars, card, infoIcon } from "../parts/controls.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { layerChart } from "../parts/layers.js";
import { logsAt, logsOf, startsOf } from "../parts/log_links.js";
import { savingsByDay } from "../parts/savings.js";
import { refusedChart } from "./analytics_refusals.js";

/** `before` are the analytics of the period before, null if they are not compared. */
export function charts(analytics, before, signal) {
  const { series } = analytics;
  const times = startsOf(analytics);
  const earlier = before?.series.length === series.length ? before.series : null;
  const line = (label, value, color) => [
    { label, color, values: series.map(value) },
    ...(earlier
      ? [{ label: `${label}, before`, color, dashed: true, values: earlier.map(value) }]
      : []),
  ];
  const over = (label, format, lines, more = {}) =>
    chart({
      times,
      format,
      signal,
      series: lines.flat(),
      label,
      hrefOf: (at) => logsOf(analytics, series[at]),
      ...more,
    });
  return h(
    "div",
    { class: "columns" },
    card(
      "Requests by layer",
      layerChart(
        analytics,
        "Requests by layer over time; the table below has the numbers.",
        signal,
      ),
      infoIcon(DEFINITIONS.layers),
    ),
    earlier
      ? card(
          "Requests, compared with the period before",
          over("Requests over time, and in the period before.", compact, [
            line("requests", (p) => p.requests, 0),
          ]),
        )
      : null,
    card(
      "Latency",
      over("Latency percentiles over time.", ms, [
        line("p50", (p) => p.latency_ms.p50, 0),
        line("p95", (p) => p.latency_ms.p95, 1),
        line("p99", (p) => p.latency_ms.p99, 2),
      ]),
      infoIcon(DEFINITIONS.latency),
    ),
    card(
      "Tokens",
      over(
        "Tokens over time.",
        compact,
        [
          { label: "prompt", values: series.map((p) => p.prompt_tokens) },
          { label: "completion", values: series.map((p) => p.completion_tokens) },
        ],
        { stacked: true },
      ),
      infoIcon(DEFINITIONS.tokens),
    ),
    card(
      "Cost",
      over("Cost over time in US dollars.", usd, [line("USD", (p) => p.cost_usd, 0)]),
      infoIcon(DEFINITIONS.cost),
    ),
    card(
      "Model calls saved",
      savingsByDay(analytics.savings, signal),
      infoIcon(DEFINITIONS.savings),
    ),
    card("Fallback and error reasons", reasonBars(analytics), infoIcon(DEFINITIONS.reasons)),
    card(
      "Cache, fallback and error rate",
      over(
        "Cache hit rate, fallback rate and error rate over time.",
        (value) => percent(value, 0),
        [
          line("cache hits", (p) => p.cache_hit_rate, 0),
          line("fallback", (p) => p.fallback_rate, 1),
          line("errors", (p) => p.error_rate, 2),
        ],
      ),
      infoIcon(DEFINITIONS.cacheHits),
    ),
    card(
      "Refused requests",
      refusedChart(analytics, times, signal),
      infoIcon(DEFINITIONS.refusals),
    ),
  );
}

// No failures.
const EXPECTED_REASONS = new Set(["out_of_scope", "low_confidence", "background_prompt"]);

function reasonBars({ reasons, from, to }) {
  const rows = Object.entries(reasons).sort(([, one], [, other]) => other - one);
  if (!rows.length) return h("p", { class: "muted" }, "None in this range.");
  return bars(
    rows.map(([reason, value]) => ({
      name: words(reason),
      href: logsAt({ from, to, reason }),
      value,
      text: count(value),
      kind: EXPECTED_REASONS.has(reason) ? "muted" : "bad",
    })),
  );
}
