// Analytics: metrics, charts and tables of one time range. The address has the filters.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { compact, count, instant, ms, NOTHING, percent, usd, words } from "../format.js";
import { chart } from "../parts/chart.js";
import {
  badge,
  bars,
  button,
  card,
  csv,
  figure,
  infoIcon,
  pageHead,
  save,
} from "../parts/controls.js";
import { attemptKind } from "../parts/decision.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { filters } from "../parts/filters.js";
import { layerSeries } from "../parts/layers.js";
import { empty, load } from "../parts/loading.js";
import { savingsByDay } from "../parts/savings.js";
import { table } from "../parts/table.js";

const HOUR_MS = 3_600_000;
const RANGES = {
  "24h": ["24 hours", 24],
  "7d": ["7 days", 168],
  "30d": ["30 days", 720],
  "90d": ["90 days", 2160],
};
const GROUPS = [
  ["model", "Model"],
  ["agent", "Agent"],
  ["layer", "Layer"],
  ["reason", "Reason"],
  ["adapter", "Adapter"],
  ["key", "Key"],
];

const FILTERS = [
  {
    name: "range",
    label: "Range",
    type: "select",
    value: "24h",
    options: [
      ...Object.entries(RANGES).map(([value, [label]]) => [value, `Last ${label}`]),
      ["custom", "Custom range"],
    ],
  },
  { name: "from", label: "From", type: "datetime-local" },
  { name: "to", label: "To", type: "datetime-local" },
  {
    name: "interval",
    label: "Interval",
    type: "select",
    options: [
      [null, "Auto"],
      ["hour", "Hour"],
      ["day", "Day"],
    ],
  },
  { name: "group_by", label: "Group by", type: "select", value: "model", options: GROUPS },
];
const MAX_HOURS_BY_HOUR = 8 * 24;

export async function open({ root, query, signal, may }) {
  const body = h("div", { class: "stack" });
  const show = (state) =>
    load(
      body,
      () => api("GET", "/v1/analytics", { query: queryOf(state), signal }),
      (analytics) => view(analytics, signal, may),
      { signal, keep: true },
    );
  const visible = ({ range }) => (range === "custom" ? null : ["range", "interval", "group_by"]);
  replace(
    root,
    pageHead("Analytics", "Traffic, quality, latency and cost."),
    filters({ parts: ["analytics"], specs: FILTERS, query, show, visible, signal }),
    body,
  );
}

function queryOf({ range, from, to, interval, group_by }) {
  const custom = range === "custom";
  const hours = Object.hasOwn(RANGES, range) ? RANGES[range][1] : 24;
  const start = custom ? instant(from) : new Date(Date.now() - hours * HOUR_MS).toISOString();
  const span = custom && from ? (Date.parse(to ?? new Date()) - Date.parse(from)) / HOUR_MS : hours;
  const auto = span > MAX_HOURS_BY_HOUR ? "day" : "hour";
  return { from: start, to: custom ? instant(to) : null, interval: interval ?? auto, group_by };
}

function view(analytics, signal, may) {
  const { totals, series, groups } = analytics;
  if (!totals.requests) {
    return empty(
      "No requests in this range",
      "Select a longer range, or send a request.",
      may("route") ? h("a", { href: "#/playground" }, "Open playground") : null,
    );
  }
  const times = startsOf(series, analytics.interval);
  const over = (label, format, lines, more = {}) =>
    chart({ times, format, signal, series: lines, label, ...more });
  const line = (label, value) => ({ label, values: series.map(value) });
  return [
    h(
      "div",
      { class: "figures" },
      figure("Requests", compact(totals.requests), { info: DEFINITIONS.requests }),
      figure("Error rate", percent(totals.error_rate), {
        note: count(totals.errors),
        info: DEFINITIONS.errors,
      }),
      figure("Fallback rate", percent(totals.fallback_rate), {
        note: count(totals.fallback_answers),
        info: DEFINITIONS.fallback,
      }),
      figure("Cache hit rate", percent(totals.cache_hit_rate), {
        note: count(totals.cache_hits),
        info: DEFINITIONS.cacheHits,
      }),
      figure("Answered without a model", percent(totals.without_model_rate), {
        info: DEFINITIONS.withoutLlm,
      }),
      figure("Accuracy", percent(totals.accuracy.accuracy), {
        note: totals.accuracy.labelled
          ? `${interval(totals.accuracy)} sampled requests`
          : "no labeled random sample yet",
        info: DEFINITIONS.accuracy,
      }),
      figure("Tokens", compact(totals.total_tokens), { info: DEFINITIONS.tokens }),
      figure("Cost", usd(totals.cost_usd), { info: DEFINITIONS.cost }),
      figure("p95 latency", ms(totals.latency_ms.p95), {
        note: `p50 ${ms(totals.latency_ms.p50)}, p99 ${ms(totals.latency_ms.p99)}`,
        info: DEFINITIONS.latency,
      }),
    ),
    h(
      "div",
      { class: "columns" },
      card(
        "Requests by layer",
        over(
          "Requests by layer over time; the table below has the numbers.",
          compact,
          layerSeries(series),
          { stacked: true },
        ),
        infoIcon(DEFINITIONS.layers),
      ),
      card(
        "Latency",
        over("Latency percentiles over time.", ms, [
          line("p50", (p) => p.latency_ms.p50),
          line("p95", (p) => p.latency_ms.p95),
          line("p99", (p) => p.latency_ms.p99),
        ]),
        infoIcon(DEFINITIONS.latency),
      ),
      card(
        "Tokens",
        over(
          "Tokens over time.",
          compact,
          [line("prompt", (p) => p.prompt_tokens), line("completion", (p) => p.completion_tokens)],
          { stacked: true },
        ),
        infoIcon(DEFINITIONS.tokens),
      ),
      card(
        "Cost",
        over("Cost over time in US dollars.", usd, [line("USD", (p) => p.cost_usd)]),
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
            line("cache hits", (p) => p.cache_hit_rate),
            line("fallback", (p) => p.fallback_rate),
            line("errors", (p) => p.error_rate),
          ],
        ),
        infoIcon(DEFINITIONS.cacheHits),
      ),
    ),
    groupTable(analytics.group_by, groups),
    modelCallTable(analytics),
    seriesTable(series),
    h(
      "div",
      { class: "row" },
      button("Export time series (CSV)", () =>
        save("edgeneuro-time-series.csv", seriesCsv(series), "text/csv"),
      ),
      button("Export breakdown (CSV)", () =>
        save("edgeneuro-breakdown.csv", groupsCsv(analytics), "text/csv"),
      ),
    ),
  ];
}

const interval = ({ low, high, labelled }) =>
  labelled ? `${percent(low)} to ${percent(high)}, of ${count(labelled)}` : "no labels";

// No failures.
const EXPECTED_REASONS = new Set(["out_of_scope", "low_confidence", "background_prompt"]);

function reasonBars({ reasons }) {
  const rows = Object.entries(reasons).sort(([, one], [, other]) => other - one);
  if (!rows.length) return h("p", { class: "muted" }, "None in this range.");
  return bars(
    rows.map(([reason, value]) => ({
      name: words(reason),
      value,
      text: count(value),
      kind: EXPECTED_REASONS.has(reason) ? "muted" : "bad",
    })),
  );
}

function groupTable(by, groups) {
  const title = GROUPS.find(([name]) => name === by)[1];
  return table({
    caption: `By ${title.toLowerCase()}`,
    rows: groups,
    columns: [
      { head: title, cell: (group) => group.key ?? NOTHING, heading: true, kind: "wide" },
      { head: "Requests", cell: (group) => count(group.requests), kind: "number" },
      { head: "Errors", cell: (group) => percent(group.error_rate), kind: "number" },
      { head: "Fallback", cell: (group) => percent(group.fallback_rate), kind: "number" },
      { head: "Cache hits", cell: (group) => percent(group.cache_hit_rate), kind: "number" },
      ...(by === "agent"
        ? [
            {
              head: "Mis-routed",
              cell: (group) => percent(group.misroute_rate),
              kind: "number",
            },
          ]
        : []),
      {
        head: "Accuracy",
        cell: (group) =>
          h("span", { title: interval(group.accuracy) }, percent(group.accuracy.accuracy)),
        kind: "number",
      },
      { head: "Tokens", cell: (group) => compact(group.total_tokens), kind: "number" },
      { head: "Cost", cell: (group) => usd(group.cost_usd), kind: "number" },
      { head: "p50", cell: (group) => ms(group.latency_ms.p50), kind: "number" },
      { head: "p95", cell: (group) => ms(group.latency_ms.p95), kind: "number" },
    ],
  });
}

function modelCallTable({ models }) {
  if (!models.length) return null;
  return h(
    "div",
    { class: "stack-small" },
    table({
      caption: "Model calls",
      rows: models,
      columns: [
        {
          head: "Model",
          cell: (model) => model.adapter ?? model.model,
          heading: true,
          kind: "wide",
        },
        { head: "Calls", cell: (model) => count(model.attempts), kind: "number" },
        {
          head: "Failed",
          cell: (model) => percent(model.failed_attempts / model.attempts),
          kind: "number",
        },
        {
          head: "Outcomes",
          cell: (model) =>
            h(
              "div",
              { class: "row" },
              Object.entries(model.outcomes).map(([outcome, times]) =>
                badge(`${words(outcome)} ${count(times)}`, attemptKind(outcome)),
              ),
            ),
        },
      ],
    }),
    infoIcon(DEFINITIONS.modelCalls),
  );
}

/** Unix seconds. The first period is drawn with full width, even if the range starts within it. */
function startsOf(series, interval) {
  const step = interval === "day" ? 86_400 : 3600;
  return series.map((period) => Math.floor(Date.parse(period.start) / 1000 / step) * step);
}

const SERIES = [
  ["start", (period) => period.start],
  ["requests", (period) => period.requests],
  ["errors", (period) => period.errors],
  ["fallback", (period) => period.fallback_answers],
  ["cache_hits", (period) => period.cache_hits],
  ["without_model", (period) => period.answered_without_model],
  ["tokens", (period) => period.total_tokens],
  ["cost_usd", (period) => period.cost_usd],
  ["p50_ms", (period) => period.latency_ms.p50],
  ["p95_ms", (period) => period.latency_ms.p95],
  ["p99_ms", (period) => period.latency_ms.p99],
];

/** The numbers of the charts as a table, for screen readers. */
function seriesTable(series) {
  const columns = SERIES.map(([name, value], index) => ({
    head: words(name),
    cell:
      index === 0
        ? (period) => new Date(value(period)).toLocaleString()
        : (period) => value(period) ?? NOTHING,
    kind: index === 0 ? undefined : "number",
    heading: index === 0,
  }));
  return h(
    "details",
    {},
    h("summary", {}, "Show as table"),
    table({ caption: "By time", columns, rows: series.filter((period) => period.requests) }),
  );
}

const seriesCsv = (series) =>
  csv([
    SERIES.map(([name]) => name),
    ...series.map((period) => SERIES.map(([, value]) => value(period))),
  ]);

function groupsCsv({ group_by, groups }) {
  const columns = [
    [group_by, (group) => group.key],
    ...SERIES.slice(1),
    ["labeled", (group) => group.accuracy.labelled],
    ["accuracy", (group) => group.accuracy.accuracy],
  ];
  return csv([
    columns.map(([name]) => name),
    ...groups.map((group) => columns.map(([, value]) => value(group))),
  ]);
}
