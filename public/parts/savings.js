// Savings: model calls that were not made, with the estimate of their cost and time.

import { h } from "../dom.js";
import { compact, count, duration, NOTHING, plural, usd } from "../format.js";
import { chart } from "./chart.js";
import { figure } from "./controls.js";
import { stageName } from "./decision.js";
import { DEFINITIONS } from "./definitions.js";
import { logsAt } from "./log_links.js";
import { table } from "./table.js";

// Each stage keeps its color, whichever others there are.
const STAGES = [
  "classifier",
  "embedding",
  "memory_cache",
  "stored_cache",
  "single_flight",
  "label",
  "rule",
  "session",
  "clarified",
];

const DAY_MS = 86_400_000;
// Layers of log rows that have another name than the stage, or none.
const LAYERS = {
  memory_cache: "cache",
  stored_cache: "cache",
  single_flight: null,
  clarified: null,
};

/** The address of the requests of a day; with the stage that decided them, if a layer has its name. */
function requestsOf({ start }, stage) {
  const layer = stage === null ? null : stage in LAYERS ? LAYERS[stage] : stage;
  const end = (Math.floor(Date.parse(start) / DAY_MS) + 1) * DAY_MS;
  return logsAt({ layer, from: start, to: end });
}

/** The tile: what was saved in the range of the analytics. */
export const savingsFigure = (savings) =>
  figure("Saved (estimate)", cost(savings), {
    note: `${plural(savings.calls, "model call")}, ${duration(savings.time_ms)} of waiting`,
    info: DEFINITIONS.savings,
  });

const cost = ({ cost_usd: value }) => (value === null ? "no price known" : usd(value));

/** Calls not made by day and stage, and what each stage saved. */
export function savingsByDay(savings, signal) {
  if (!savings.calls) return h("p", { class: "muted" }, "No model call was saved in this range.");
  const names = Object.keys(savings.stages);
  const ordered = [
    ...STAGES.filter((name) => names.includes(name)),
    ...names.filter((name) => !STAGES.includes(name)),
  ];
  const text = ordered.map((name) => `${stageName(name)} ${count(savings.stages[name].calls)}`);
  return h(
    "div",
    { class: "stack-small" },
    chart({
      times: savings.by_day.map(({ start }) => Math.floor(Date.parse(start) / 86_400_000) * 86_400),
      series: ordered.map((name) => ({
        label: stageName(name),
        color: Math.max(STAGES.indexOf(name), 0),
        values: savings.by_day.map((day) => day.stages[name]?.calls ?? 0),
      })),
      stacked: true,
      hrefOf: (at, which) => requestsOf(savings.by_day[at], which === null ? null : ordered[which]),
      format: compact,
      label: `Model calls not made, by day and stage: ${text.join(", ")}.`,
      signal,
    }),
    table({
      caption: "Savings by stage",
      rows: ordered.map((name) => ({ name, ...savings.stages[name] })),
      columns: [
        { head: "Stage", cell: ({ name }) => stageName(name), heading: true },
        { head: "Calls", cell: ({ calls }) => count(calls), kind: "number" },
        {
          head: "Cost",
          cell: ({ cost_usd: value }) => (value === null ? NOTHING : usd(value)),
          kind: "number",
        },
        { head: "Time", cell: ({ time_ms: value }) => duration(value), kind: "number" },
      ],
    }),
    h("p", { class: "muted" }, comparison(savings)),
  );
}

function comparison({ compared_with: models }) {
  if (!models.decisions) return "No model has decided in this range, so cost and time are unknown.";
  const price = models.mean_cost_usd === null ? "no known price" : usd(models.mean_cost_usd);
  return `Estimate: ${plural(models.decisions, "decision")} of models took ${price} and ${duration(models.mean_ms)} on average.`;
}
