// Refused requests in Analytics: over time by reason, and by caller.

import { h } from "../dom.js";
import { compact, count } from "../format.js";
import { callerLabel } from "../parts/callers.js";
import { chart } from "../parts/chart.js";
import { REFUSAL_REASONS, refusalName, refusalText } from "../parts/refusals.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";

/** Stacked bars by reason; a click opens the list of keys. */
export function refusedChart({ refusals }, times, signal) {
  if (!refusals.requests) return h("p", { class: "muted" }, "None in this range.");
  const known = REFUSAL_REASONS.filter((reason) => reason in refusals.reasons);
  const others = Object.keys(refusals.reasons).filter((reason) => !known.includes(reason));
  return chart({
    times,
    format: compact,
    stacked: true,
    series: [...known, ...others].map((reason) => ({
      label: refusalName(reason),
      values: refusals.series.map(({ reasons }) => reasons[reason] ?? 0),
    })),
    hrefOf: () => "#/keys",
    label: `Refused requests over time by reason: ${refusalText(refusals.reasons)}.`,
    signal,
  });
}

export function refusedTable({ keys }) {
  if (!keys.length) return null;
  return table({
    caption: "Refused requests by key",
    rows: keys,
    columns: [
      {
        head: "Key",
        cell: ({ key }) => (key === null ? "(not a known key)" : callerLabel(key)),
        heading: true,
        kind: "wide",
        sort: ({ key }) => callerLabel(key),
      },
      {
        head: "Refused",
        cell: (each) => count(each.requests),
        kind: "number",
        sort: (each) => each.requests,
      },
      { head: "Reasons", cell: (each) => refusalText(each.reasons), kind: "wide" },
      { head: "Last", cell: (each) => when(each.last_at), sort: (each) => each.last_at },
    ],
  });
}
