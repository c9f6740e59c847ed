// The tables of Analytics: by group, by model called, and by time. Names and times open their requests.

import { h } from "../dom.js";
import { compact, count, ms, NOTHING, percent, usd, words } from "../format.js";
import { accuracyText } from "../parts/accuracy.js";
import { agentLabel } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { badge, infoIcon, link } from "../parts/controls.js";
import { attemptKind, layerName } from "../parts/decision.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { logsAt, logsOf } from "../parts/log_links.js";
import { table } from "../parts/table.js";

export const GROUPS = [
  ["model", "Model"],
  ["agent", "Agent"],
  ["layer", "Layer"],
  ["reason", "Reason"],
  ["adapter", "Adapter"],
  ["key", "Key"],
];
/** The key of a group as other screens name it. */
const NAMES = { agent: agentLabel, key: callerLabel, layer: layerName, reason: words };
// Filters of Logs that have another name than the group.
const FILTERS = { adapter: "model" };

export function groupTable({ group_by: by, groups, from, to }) {
  const title = GROUPS.find(([name]) => name === by)[1];
  const name = (key) => NAMES[by]?.(key) ?? key;
  const filter = FILTERS[by] ?? by;
  const number = (head, value, format) => ({
    head,
    cell: (group) => format(value(group)),
    kind: "number",
    sort: value,
  });
  return table({
    caption: `By ${title.toLowerCase()}`,
    rows: groups,
    columns: [
      {
        head: title,
        cell: ({ key }) =>
          key === null ? NOTHING : link(name(key), logsAt({ from, to, [filter]: key })),
        heading: true,
        kind: "wide",
        sort: ({ key }) => name(key),
      },
      number("Requests", (group) => group.requests, count),
      number("Errors", (group) => group.error_rate, percent),
      number("Fallback", (group) => group.fallback_rate, percent),
      number("Cache hits", (group) => group.cache_hit_rate, percent),
      ...(by === "agent" ? [number("Misrouted", (group) => group.misroute_rate, percent)] : []),
      {
        head: "Accuracy",
        cell: ({ accuracy }) => accuracyText(accuracy),
        kind: "number",
        sort: ({ accuracy }) => accuracy.accuracy,
      },
      number("Tokens", (group) => group.total_tokens, compact),
      number("Cost", (group) => group.cost_usd, usd),
      number("p50", (group) => group.latency_ms.p50, ms),
      number("p95", (group) => group.latency_ms.p95, ms),
    ],
  });
}

export function modelCallTable({ models }) {
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

export const SERIES = [
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

/** The numbers of the charts as a table, for screen readers and the keyboard. */
export function seriesTable(analytics) {
  const columns = SERIES.map(([name, value], index) => ({
    head: words(name),
    cell:
      index === 0
        ? (period) => link(new Date(period.start).toLocaleString(), logsOf(analytics, period))
        : (period) => value(period) ?? NOTHING,
    kind: index === 0 ? undefined : "number",
    heading: index === 0,
  }));
  const rows = analytics.series.filter((period) => period.requests);
  return h(
    "details",
    {},
    h("summary", {}, "Show as table"),
    table({ caption: "By time", columns, rows }),
  );
}
