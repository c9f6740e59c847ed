// Overview: whether the router works, what it saves, and what to do next.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { clock, compact, count, ms, NOTHING, percent, plural, usd } from "../format.js";
import { accuracyNote, accuracyText } from "../parts/accuracy.js";
import { agentName, readAgents } from "../parts/agents.js";
import { alertList, readAlerts } from "../parts/alerts.js";
import { change, changeInPoints } from "../parts/compare.js";
import { card, figure, pageHead } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { filters } from "../parts/filters.js";
import { firstSteps } from "../parts/first_steps.js";
import { LAYERS, layerChart } from "../parts/layers.js";
import { learningView, readLearning } from "../parts/learning.js";
import { load } from "../parts/loading.js";
import { savingsByDay, savingsFigure } from "../parts/savings.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";

const HOUR_MS = 3_600_000;
const RANGES = {
  "1h": ["hour", 1],
  "24h": ["24 hours", 24],
  "7d": ["7 days", 168],
  "30d": ["30 days", 720],
};
// Up to so many hours by the hour, and below a day by 5 minutes.
const MAX_HOURS_BY_HOUR = 168;
const SAVINGS_DAYS = 14;
const TOTALS = "/v1/analytics/totals";
const RECENT = 8;
const SHOWN_AGENTS = 20; // those with most requests
const LIVE_MS = 5_000;

const RANGE = {
  name: "range",
  label: "Range",
  type: "select",
  value: "24h",
  options: Object.entries(RANGES).map(([value, [label]]) => [value, `Last ${label}`]),
};

export async function open({ root, query, signal, may }) {
  const steps = h("div", {});
  const figures = h("div", {});
  const alerts = h("div", {});
  const byLayer = h("div", {});
  const byAgent = h("div", {});
  const recent = h("div", {});
  const saved = h("div", {});
  const learning = h("div", { class: "stack" });
  let range = RANGE.value;
  const show = () => {
    // Shared by several sections of the screen.
    const { now, before } = readAnalytics(range, signal);
    const selection = api("GET", "/v1/models/select", { signal });
    const logs = readRecent(signal);
    const agents = readAgents(signal);
    const learned = readLearning(signal);
    const options = { signal, keep: true, retry: () => show() };
    return Promise.all([
      load(
        figures,
        () => Promise.all([now, before, selection, agents]),
        ([analytics, earlier, selected, known]) => {
          replace(byLayer, series(analytics, signal));
          replace(byAgent, agentTable(analytics, known));
          return headline(analytics, earlier, selected);
        },
        options,
      ),
      load(
        recent,
        () => Promise.all([logs, agents]),
        ([newest, known]) => recentTable(newest.data, known),
        options,
      ),
      load(
        saved,
        () => api("GET", TOTALS, { query: savingsRange(), signal }),
        ({ savings }) => savingsByDay(savings, signal),
        options,
      ),
      load(
        learning,
        () => learned,
        (report) => learningView(report, { may, onChange: show }),
        options,
      ),
      load(
        alerts,
        () => Promise.all([readAlerts({ may, signal, analytics: now, selection, learned }), now]),
        ([found, { totals }]) => alertList(found, totals.requests),
        options,
      ),
      firstSteps(steps, {
        may,
        signal,
        selection,
        logs,
        learned,
        agents,
        onChange: show,
      }).catch((error) => {
        // A request that fails: the sections of the screen say so.
        if (error.status === undefined && error.name !== "AbortError") throw error;
      }),
    ]);
  };
  const sections = [
    steps,
    figures,
    h("div", { class: "columns" }, card("Alerts", alerts), card("Requests by layer", byLayer)),
    card("Recent requests", recent),
    card("By agent", byAgent),
    card("Learning", learning),
    card(`Model calls saved, last ${SAVINGS_DAYS} days`, saved),
  ];
  let shown = null;
  const control = filters({
    parts: ["overview"],
    specs: [RANGE],
    query,
    signal,
    show(state) {
      range = Object.hasOwn(RANGES, state.range) ? state.range : RANGE.value;
      shown = show();
    },
  });
  replace(
    root,
    pageHead("Overview", "Traffic, quality and savings, compared with the period before.", control),
    ...sections,
  );
  await shown;
  followRecent(recent, signal);
}

/** Whole days in UTC, today's part too. */
function savingsRange() {
  const first = new Date(Date.now() - (SAVINGS_DAYS - 1) * 86_400_000);
  first.setUTCHours(0, 0, 0, 0);
  return { from: first.toISOString() };
}

/** The analytics of the range, and the totals of the one before it, which is as long. */
function readAnalytics(range, signal) {
  const [, hours] = RANGES[range];
  const end = Date.now();
  const [from, earlier] = [1, 2].map((n) => new Date(end - n * hours * HOUR_MS).toISOString());
  const interval = hours < 24 ? "5m" : hours > MAX_HOURS_BY_HOUR ? "day" : "hour";
  const read = (path, query) => api("GET", path, { query, signal });
  return {
    now: read("/v1/analytics", { from, interval, group_by: "agent" }),
    before: read(TOTALS, { from: earlier, to: from }),
  };
}

function headline({ from, to, totals, savings, series }, earlier, selection) {
  const { accuracy } = totals;
  const before = earlier.totals;
  // Ranges are of whole hours, and the last hour is not over: of short ones the sums cannot be compared.
  const isLong = Date.parse(to) - Date.parse(from) >= 24 * HOUR_MS;
  const changed = (value, old) => (isLong ? change(value, old) : `since ${clock(from)}`);
  const line = (value) => series.map(value);
  return h(
    "div",
    { class: "figures figures-four" },
    figure("Answered without a model", percent(totals.without_model_rate), {
      info: DEFINITIONS.withoutLlm,
      note: changeInPoints(totals.without_model_rate, before.without_model_rate),
      values: line((period) => period.without_model_rate),
    }),
    savingsFigure(savings),
    figure("Accuracy", percent(accuracy.accuracy), {
      note: accuracyNote(accuracy),
      info: DEFINITIONS.accuracy,
    }),
    figure("Fallback rate", percent(totals.fallback_rate), {
      info: DEFINITIONS.fallback,
      note: changeInPoints(totals.fallback_rate, before.fallback_rate),
      values: line((period) => period.fallback_rate),
    }),
    figure("Requests", compact(totals.requests), {
      info: DEFINITIONS.requests,
      href: "#/analytics",
      note: changed(totals.requests, before.requests),
      values: line((period) => period.requests),
    }),
    figure("p95 latency", ms(totals.latency_ms.p95), {
      info: DEFINITIONS.latency,
      note: change(totals.latency_ms.p95, before.latency_ms.p95),
      values: line((period) => period.latency_ms.p95),
    }),
    figure("Cost", usd(totals.cost_usd), {
      note: totals.unpriced_answers
        ? `${plural(totals.unpriced_answers, "request")} without a price`
        : changed(totals.cost_usd, before.cost_usd),
      info: DEFINITIONS.cost,
      values: line((period) => period.cost_usd),
    }),
    figure("Active model", h("span", { class: "model-name" }, breakable(selection.active)), {
      note: selection.classifier ? "behind a classifier" : "no classifier",
      href: "#/models",
    }),
  );
}

/** A model's id, which may break after each of its parts. */
const breakable = (id) => id.split(/(?<=[/-])/).flatMap((part) => [part, h("wbr", {})]);

function agentTable({ groups }, agents) {
  const named = groups.filter(({ key }) => key !== null);
  if (!named.length) return h("p", { class: "muted" }, "No agent was routed to in this range.");
  const agentRows = table({
    caption: "By agent",
    hideCaption: true,
    rows: named.slice(0, SHOWN_AGENTS),
    columns: [
      {
        head: "Agent",
        heading: true,
        cell: ({ key }) =>
          h("a", { href: address(["logs"], { agent: key }) }, agentName(agents, key)),
      },
      { head: "Requests", kind: "number", cell: ({ requests }) => count(requests) },
      {
        head: "Without a model",
        kind: "number",
        cell: (group) => percent(group.without_model_rate),
      },
      { head: "As fallback", kind: "number", cell: (group) => percent(group.fallback_rate) },
      { head: "Misrouted", kind: "number", cell: (group) => percent(group.misroute_rate) },
      { head: "Labeled", kind: "number", cell: ({ accuracy }) => count(labelled(accuracy)) },
      { head: "Accuracy", cell: ({ accuracy }) => accuracyText(accuracy) },
    ],
  });
  if (named.length <= SHOWN_AGENTS) return agentRows;
  const all = address(["analytics"], { group_by: "agent" });
  return [
    agentRows,
    h("p", { class: "more" }, h("a", { href: all }, `All ${count(named.length)} agents`)),
  ];
}

const labelled = ({ labelled: sampled, other_labelled: other }) => sampled + other;

const readRecent = (signal) => api("GET", "/v1/logs", { query: { limit: RECENT }, signal });

function recentTable(logs, agents) {
  if (!logs.length) return h("p", { class: "muted" }, "No requests yet");
  return table({
    caption: "Recent requests",
    hideCaption: true,
    dense: true,
    rows: logs,
    columns: [
      {
        head: "Query",
        heading: true,
        kind: "wide",
        cell: (log) =>
          h("a", { href: address(["logs", log.id]) }, log.query || "(text not stored)"),
      },
      {
        head: "Agent",
        cell: ({ agent_id: id }) => (id === null ? NOTHING : agentName(agents, id)),
      },
      { head: "Confidence", kind: "number", cell: (log) => percent(log.confidence, 0) },
      { head: "Layer", cell: (log) => layerBadge(log.layer) },
      { head: "Latency", kind: "number", cell: (log) => ms(log.latency_ms) },
      { head: "Time", cell: (log) => when(log.created_at) },
    ],
  });
}

/** Shows new requests as they come, while somebody looks. */
function followRecent(container, signal) {
  const timer = setInterval(async () => {
    if (document.hidden || container.contains(document.activeElement)) return;
    try {
      const [newest, agents] = await Promise.all([readRecent(signal), readAgents(signal)]);
      if (!container.contains(document.activeElement))
        replace(container, recentTable(newest.data, agents));
    } catch {
      // The next look may succeed; what is shown stays.
    }
  }, LIVE_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function series(analytics, signal) {
  if (!analytics.totals.requests) return h("p", { class: "muted" }, "No requests in this range");
  const text = LAYERS.map((layer) => {
    const requests = analytics.series.reduce((sum, period) => sum + (period.layers[layer] ?? 0), 0);
    return `${layer} ${count(requests)}`;
  });
  return layerChart(analytics, `Requests by layer: ${text.join(", ")}.`, signal);
}
