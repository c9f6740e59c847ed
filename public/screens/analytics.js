// Analytics: metrics, charts and tables of one time range. The address has the filters.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { compact, count, instant, ms, percent, plural, usd } from "../format.js";
import { change, changeInPoints } from "../parts/compare.js";
import { button, figure, pageHead, save } from "../parts/controls.js";
import { csv } from "../parts/csv.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { filters } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { readNames } from "../parts/names.js";
import { confusions, latencyByLayer } from "./analytics_breakdowns.js";
import { charts } from "./analytics_charts.js";
import { refusedTable } from "./analytics_refusals.js";
import { GROUPS, groupTable, modelCallTable, SERIES, seriesTable } from "./analytics_tables.js";

const HOUR_MS = 3_600_000;
const RANGES = {
  "3h": ["3 hours", 3],
  "24h": ["24 hours", 24],
  "7d": ["7 days", 168],
  "30d": ["30 days", 720],
  "90d": ["90 days", 2160],
};
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
      ["5m", "5 minutes"],
      ["hour", "Hour"],
      ["day", "Day"],
    ],
  },
  { name: "group_by", label: "Group by", type: "select", value: "model", options: GROUPS },
  {
    name: "compare",
    label: "Compare with",
    type: "select",
    options: [
      [null, "Nothing"],
      ["before", "The period before"],
    ],
  },
];
// Of the automatic interval; 5 minutes are kept for 3 days.
const MAX_HOURS_BY_5M = 6;
const RECENT_HOURS = 48;
const MAX_HOURS_BY_HOUR = 8 * 24;

export async function open({ root, query, signal, may }) {
  const body = h("div", { class: "stack" });
  const show = (state) =>
    load(
      body,
      () => read(state, signal, may),
      (found) => view(found, signal, may),
      { signal, keep: true },
    );
  const visible = ({ range }) =>
    range === "custom" ? null : ["range", "interval", "group_by", "compare"];
  replace(
    root,
    pageHead(
      "Analytics",
      "Traffic, quality, latency and cost. Click a bar or a name for its requests.",
    ),
    filters({ parts: ["analytics"], specs: FILTERS, query, show, visible, signal }),
    body,
  );
}

/** The analytics of the range, and those of the period before if they are wanted. */
async function read(state, signal, may) {
  const query = queryOf(state);
  const at = (more) => api("GET", "/v1/analytics", { query: { ...query, ...more }, signal });
  const analytics = await at({});
  const [before] = await Promise.all([
    state.compare ? readBefore(analytics, at) : null,
    readNames({ may, signal }),
  ]);
  return { analytics, before };
}

/** The range before, which is as long. Sums by 5 minutes may be gone for it. */
async function readBefore({ from, to, interval }, at) {
  const start = Date.parse(from);
  const earlier = new Date(start - (Date.parse(to) - start)).toISOString();
  try {
    return await at({ from: earlier, to: from });
  } catch (error) {
    if (interval !== "5m" || error.status !== 400) throw error;
    return at({ from: earlier, to: from, interval: "hour" });
  }
}

function queryOf({ range, from, to, interval, group_by }) {
  const custom = range === "custom";
  const hours = Object.hasOwn(RANGES, range) ? RANGES[range][1] : 24;
  const start = custom ? instant(from) : new Date(Date.now() - hours * HOUR_MS).toISOString();
  const span = custom && from ? (Date.parse(to ?? new Date()) - Date.parse(from)) / HOUR_MS : hours;
  const isRecent = !start || Date.now() - Date.parse(start) < RECENT_HOURS * HOUR_MS;
  const fine = span <= MAX_HOURS_BY_5M && isRecent ? "5m" : "hour";
  const auto = span > MAX_HOURS_BY_HOUR ? "day" : fine;
  return { from: start, to: custom ? instant(to) : null, interval: interval ?? auto, group_by };
}

function view({ analytics, before }, signal, may) {
  const { totals, series, groups, refusals } = analytics;
  if (!totals.requests && !refusals.requests) {
    return empty(
      "No requests in this range",
      "Select a longer range, or send a request.",
      may("route") ? h("a", { href: "#/playground" }, "Open playground") : null,
    );
  }
  return [
    figures(analytics, before?.totals),
    charts(analytics, before, signal),
    latencyByLayer(analytics, signal),
    confusions(analytics, signal),
    groupTable(analytics),
    modelCallTable(analytics),
    refusedTable(refusals),
    seriesTable(analytics),
    h(
      "div",
      { class: "row" },
      button("Export time series (CSV)", () =>
        save("edgeneuro-time-series.csv", seriesCsv(series), "text/csv"),
      ),
      button("Export breakdown (CSV)", () =>
        save("edgeneuro-breakdown.csv", groupsCsv(analytics.group_by, groups), "text/csv"),
      ),
    ),
  ];
}

/** `before` are the totals of the period before; undefined: they are not compared. */
function figures({ totals, refusals }, before) {
  const changed = (of) => (before ? change(of(totals), of(before)) : null);
  const moved = (name) => (before ? changeInPoints(totals[name], before[name]) : null);
  return h(
    "div",
    { class: "figures figures-five" },
    figure("Requests", compact(totals.requests), {
      info: DEFINITIONS.requests,
      note: changed((each) => each.requests),
    }),
    figure("Refused", compact(refusals.requests), {
      info: DEFINITIONS.refusals,
      note: "before they were routed",
    }),
    figure("Error rate", percent(totals.error_rate), {
      note: moved("error_rate") ?? plural(totals.errors, "request"),
      info: DEFINITIONS.errors,
    }),
    figure("Fallback rate", percent(totals.fallback_rate), {
      note: moved("fallback_rate") ?? plural(totals.fallback_answers, "request"),
      info: DEFINITIONS.fallback,
    }),
    figure("Cache hit rate", percent(totals.cache_hit_rate), {
      note: moved("cache_hit_rate") ?? plural(totals.cache_hits, "request"),
      info: DEFINITIONS.cacheHits,
    }),
    figure("Answered without a model", percent(totals.without_model_rate), {
      note: moved("without_model_rate"),
      info: DEFINITIONS.withoutLlm,
    }),
    figure("Accuracy", percent(totals.accuracy.accuracy), {
      note: accuracyNote(totals.accuracy, before?.accuracy),
      info: DEFINITIONS.accuracy,
    }),
    figure("Tokens", compact(totals.total_tokens), {
      note: changed((each) => each.total_tokens),
      info: DEFINITIONS.tokens,
    }),
    figure("Cost", usd(totals.cost_usd), {
      note: changed((each) => each.cost_usd),
      info: DEFINITIONS.cost,
    }),
    figure("p95 latency", ms(totals.latency_ms.p95), {
      note:
        changed((each) => each.latency_ms.p95) ??
        `p50 ${ms(totals.latency_ms.p50)}, p99 ${ms(totals.latency_ms.p99)}`,
      info: DEFINITIONS.latency,
    }),
  );
}

function accuracyNote({ low, high, labelled }, before) {
  if (!labelled) return "no labeled random sample yet";
  const now = `${percent(low)} to ${percent(high)}, of ${plural(labelled, "sampled request")}`;
  if (!before?.labelled) return now;
  return `${now}; ${percent(before.accuracy)} of ${count(before.labelled)} in the period before`;
}

const seriesCsv = (series) =>
  csv([
    SERIES.map(([name]) => name),
    ...series.map((period) => SERIES.map(([, value]) => value(period))),
  ]);

function groupsCsv(groupBy, groups) {
  const columns = [
    [groupBy, (group) => group.key],
    ...SERIES.slice(1),
    ["labeled", (group) => group.accuracy.labelled],
    ["accuracy", (group) => group.accuracy.accuracy],
  ];
  return csv([
    columns.map(([name]) => name),
    ...groups.map((group) => columns.map(([, value]) => value(group))),
  ]);
}
