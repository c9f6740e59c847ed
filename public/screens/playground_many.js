// Playground, tab Many queries: each line of a text is routed, and a table fills with the decisions.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, ms, NOTHING, percent, plural, usd } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { copyText } from "../parts/clipboard.js";
import { badge, bars, button, progressBar, save } from "../parts/controls.js";
import { csv } from "../parts/csv.js";
import { layerBadge, layerName } from "../parts/decision.js";
import { field, read } from "../parts/form.js";
import { errorPanel } from "../parts/loading.js";
import { runPool } from "../parts/pool.js";
import { shortcuts } from "../parts/shortcuts.js";
import { table } from "../parts/table.js";
import { openDecision, titleOf } from "./playground_decision.js";
import { requestOptions, runOnCtrlEnter, shownFully } from "./playground_options.js";

const MAX_LINES = 200;
const MAX_EXAMPLES = 20;

/** The columns of the CSV: those of the API, so that the file can be read by a program. */
const CSV_COLUMNS = [
  ["query", ({ query }) => query],
  ["outcome", ({ decision }) => decision?.outcome],
  ["agent", ({ decision }) => decision?.agent?.id],
  ["confidence", ({ decision }) => decision?.confidence],
  ["layer", ({ decision }) => decision?.layer],
  ["reason", ({ decision }) => decision?.reason],
  ["model", ({ decision }) => decision?.adapter ?? decision?.model],
  ["cache", ({ decision }) => decision?.cache],
  ["latency_ms", ({ decision }) => decision?.latency_ms],
  ["cost_usd", ({ decision }) => decision?.cost_usd],
  ["id", ({ decision }) => decision?.id],
  ["error", ({ error }) => error?.message],
];

export function manyView({ examples, signal, may, ...known }) {
  const results = h("div", { class: "stack" });
  const lines = field({
    name: "queries",
    label: "Queries, one per line",
    type: "lines",
    rows: 8,
    required: true,
    help: `At most ${MAX_LINES} lines. Each is routed, logged and paid for like a request of an application.`,
  });
  const box = lines.element.querySelector("textarea");
  const options = requestOptions(known);
  const submit = h("button", { class: "button", "data-kind": "main" }, "Route all");
  shortcuts(signal, "Playground", [{ shown: "Ctrl+Enter", text: "Route all queries" }]);
  const run = async () => {
    let queries;
    try {
      ({ queries } = read([lines]));
    } catch {
      return; // the field shows the error
    }
    if (queries.length > MAX_LINES) {
      lines.show(`At most ${MAX_LINES} lines: these are ${count(queries.length)}.`);
      lines.focus();
      return;
    }
    if (submit.disabled) return;
    const body = { ...options.body(), ...shownFully(may) };
    const shown = resultsView(queries, body, {
      ...known,
      signal,
      may,
      onRun: (running) => setBusy(submit, running),
    });
    replace(results, shown.element);
    await shown.run();
  };
  const insert = button("Insert examples", () => {
    box.value = shuffled(examples).slice(0, MAX_EXAMPLES).join("\n");
    lines.show(null);
  });
  const form = h(
    "form",
    {
      class: "card form",
      onsubmit: (event) => {
        event.preventDefault();
        run();
      },
      onkeydown: runOnCtrlEnter(run),
    },
    lines.element,
    options.element,
    h(
      "div",
      { class: "row" },
      submit,
      insert,
      h("span", { class: "help" }, h("kbd", {}, "Ctrl+Enter"), " routes"),
    ),
  );
  return h("div", { class: "stack" }, form, results);
}

function shuffled(items) {
  const all = [...new Set(items)];
  for (let at = all.length - 1; at > 0; at -= 1) {
    const other = Math.floor(Math.random() * (at + 1));
    [all[at], all[other]] = [all[other], all[at]];
  }
  return all;
}

/** The table of these queries, as {element, run}; `onRun` gets whether it is being filled. */
function resultsView(queries, body, { agents, may, signal, onRun }) {
  const rows = queries.map((query) => ({ query, cells: cellsOf(query) }));
  const left = () => rows.filter((row) => !row.decision);
  const status = h("p", { role: "status" });
  const head = h("div", { class: "stack" });
  const progress = h("div", {});
  let stopping = new AbortController();
  const route = async (row) => {
    row.error = null;
    try {
      row.decision = await api("POST", "/v1/route", {
        body: { ...body, query: row.query },
        signal,
      });
    } catch (error) {
      if (!isOfThisLine(error)) throw error;
      row.error = error;
    }
    showRow(row);
    showProgress();
  };
  const showProgress = () => {
    const done = rows.filter((row) => row.decision || row.error).length;
    replace(progress, progressBar(`Routed ${done} of ${rows.length}`, done / rows.length));
  };
  const showStatus = (wait = 0) =>
    replace(status, wait ? `The rate limit is reached. Waiting ${wait} s …` : "Routing …");
  const stop = button("Stop", () => {
    stop.disabled = true;
    stopping.abort();
  });
  const run = async () => {
    stopping = new AbortController();
    stop.disabled = false;
    let fault = null;
    onRun(true);
    showStatus();
    showProgress();
    replace(head, progress, h("div", {}, stop));
    try {
      const either = AbortSignal.any([stopping.signal, signal]);
      await runPool(left(), route, { signal: either, onWait: showStatus });
    } catch (error) {
      if (error.name === "AbortError") return;
      fault = errorPanel(error);
      if (error.status === undefined) throw error; // a bug: show it in the console too
    } finally {
      onRun(false);
      replace(status, summaryOf(rows));
      replace(head, fault, sharesOf(rows), actions());
      if (stopping.signal.aborted) head.querySelector("button").focus();
    }
  };
  const actions = () =>
    h(
      "div",
      { class: "row" },
      left().length
        ? button(`Route ${plural(left().length, "remaining query", "remaining queries")}`, run)
        : null,
      exports(rows),
    );
  const frame = table({
    caption: "Decisions",
    hideCaption: true,
    rows,
    columns: [
      { head: "Query", heading: true, kind: "wide", cell: ({ cells }) => cells.query },
      { head: "Agent", cell: ({ cells }) => cells.agent },
      { head: "Confidence", kind: "number", cell: ({ cells }) => cells.confidence },
      { head: "Layer", cell: ({ cells }) => cells.layer },
      { head: "Latency", kind: "number", cell: ({ cells }) => cells.latency },
    ],
  });
  // A click anywhere in a row opens its decision, unless text was selected by it; the button is for the keyboard.
  frame.querySelector("tbody").addEventListener("click", ({ target }) => {
    const { query, decision } = rows[target.closest("tr").sectionRowIndex];
    const selects = !target.closest("button") && getSelection().toString() !== "";
    if (decision && !selects) openDecision(query, decision, { agents, may });
  });
  return {
    element: h("section", { class: "stack", "aria-label": "Results" }, status, head, frame),
    run,
  };
}

/** Whether the error is about one line, so that the others may be routed all the same. */
const isOfThisLine = ({ status, param, retryAfter }) =>
  retryAfter === null && ((status === 400 && param === "query") || status >= 500);

/** What is filled when the decision comes. */
const cellsOf = (query) => ({
  query: h("span", {}, query),
  agent: h("span", { class: "muted" }, NOTHING),
  confidence: h("span", {}),
  layer: h("span", {}),
  latency: h("span", {}),
});

function showRow({ query, cells, decision, error }) {
  cells.agent.className = "";
  if (error) {
    replace(cells.agent, badge("failed", "bad"), " ", error.message);
    return;
  }
  replace(cells.query, h("button", { class: "text-button", type: "button" }, query));
  replace(cells.agent, titleOf(decision));
  replace(cells.confidence, percent(decision.confidence));
  replace(cells.layer, layerBadge(decision.layer));
  replace(cells.latency, ms(decision.latency_ms));
  cells.query.closest("tr").dataset.opens = "true";
}

/** "20 of 20 queries routed: 18 by Classifier, 2 by Fallback. Median latency 4 ms. Cost $0.0004." */
function summaryOf(rows) {
  const decisions = decisionsOf(rows);
  const failed = rows.filter((row) => row.error).length;
  const layers = counted(decisions, ({ layer }) => layerName(layer));
  const by = layers.map(([name, value]) => `${count(value)} by ${name}`).join(", ");
  const routed = `${count(decisions.length)} of ${plural(rows.length, "query", "queries")} routed`;
  const costs = decisions.map((decision) => decision.cost_usd);
  const sum = costs.reduce((all, one) => all + one, 0);
  return [
    by ? `${routed}: ${by}.` : `${routed}.`,
    failed ? `${count(failed)} failed.` : null,
    decisions.length
      ? `Median latency ${ms(median(decisions.map((decision) => decision.latency_ms)))}.`
      : null,
    decisions.length && !costs.includes(null) ? `Cost ${usd(sum)}.` : null,
  ]
    .filter(Boolean)
    .join(" ");
}

/** [name, number of decisions], the most frequent first. */
function counted(decisions, nameOf) {
  const counts = new Map();
  for (const decision of decisions) {
    const name = nameOf(decision);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([, one], [, other]) => other - one);
}

function sharesOf(rows) {
  const decisions = decisionsOf(rows);
  if (!decisions.length) return null;
  return h(
    "div",
    { class: "columns" },
    shares("By layer", decisions, ({ layer }) => layerName(layer)),
    shares("By agent", decisions, titleOf),
  );
}

const decisionsOf = (rows) => rows.flatMap(({ decision }) => decision ?? []);

const shares = (title, decisions, nameOf) =>
  h(
    "div",
    { class: "stack-small" },
    h("h2", {}, title),
    bars(
      counted(decisions, nameOf).map(([name, value]) => ({ name, value, text: count(value) })),
      decisions.length,
    ),
  );

function median(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function exports(rows) {
  const text = () =>
    csv([
      CSV_COLUMNS.map(([name]) => name),
      ...rows.map((row) => CSV_COLUMNS.map(([, value]) => value(row))),
    ]);
  return [
    button("Copy as CSV", () => copyText(text())),
    button("Download CSV", () => save("decisions.csv", text(), "text/csv")),
  ];
}
