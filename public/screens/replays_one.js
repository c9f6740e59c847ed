// One replay: progress, the report, the queries that change, and the button that applies the changes.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING, percent, plural, points, time, usd, words } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { badge, button, card, facts, figure, pageHead, progressBar } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field, formDialog } from "../parts/form.js";
import { heatTable } from "../parts/heat.js";
import { cancelButton, followJob, isActive, stateBadge } from "../parts/job.js";
import { readNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { filteredTable, table } from "../parts/table.js";
import { address, go } from "../router.js";
import { changesOf } from "./replays_changes.js";

const LEFT_OUT = {
  no_text: "text not stored",
  bypassed: "request named a model or skipped the cache",
  rerouted: "replaced another decision",
  session: "an agent waited for the message",
  label: "decided by a label",
  failed_before: "no model had answered",
  no_agents: "no allowed agent is enabled",
  budget: "over the max cost",
  failed: "no model answered",
  deleted: "log entry deleted",
  unreadable: "log entry damaged",
};

export async function showReplay({ root, signal, may }, id) {
  const path = `/v1/replays/${encodeURIComponent(id)}`;
  const body = h("div", { class: "stack" });
  const changed = h("div", {});
  replace(root, pageHead("Replay"), body, changed);
  const render = (replay, follow) => {
    if (replay.changed) replace(changed, changedTable(replay, signal));
    else if (replay.n !== null) replace(changed, h("p", { class: "muted" }, "No query changes."));
    return view(replay, may, path, follow);
  };
  await readNames({ may, signal });
  await followJob(body, path, render, { signal });
}

function view(replay, may, path, follow) {
  const running = isActive(replay.state);
  return [
    card(
      null,
      facts([
        ["State", replay.applied_at ? badge("applied", "accent") : stateBadge(replay.state)],
        ["Window", `${time(replay.from)} to ${time(replay.to)}`],
        ["Queries", `${count(replay.drawn)} of ${count(replay.eligible)}`],
        [
          "Looked at",
          replay.looked_at < replay.rows
            ? `${count(replay.looked_at)} of ${count(replay.rows)} log entries`
            : null,
        ],
        ["Filter", filterText(replay.filter)],
        [
          "Compared with",
          replay.baseline === "logged" ? "the logged decisions" : "the current configuration",
        ],
        ["Max cost", replay.max_cost_usd === null ? null : usd(replay.max_cost_usd)],
        ["Estimated max cost", running ? usd(replay.estimate.cost_usd) : null],
        ["Started", time(replay.created_at)],
        ["Ended", replay.finished_at ? time(replay.finished_at) : null],
        ["Started by", callerLabel(replay.created_by)],
        ["Applied", replay.applied_at ? `${time(replay.applied_at)}, ${replay.applied_by}` : null],
      ]),
      changeTable(replay),
      replay.warnings.map((text) => h("p", {}, badge("warning", "warn"), " ", text)),
      replay.error ? h("p", { class: "error" }, replay.error) : null,
      replay.outdated && !running && replay.n !== null
        ? h(
            "p",
            {},
            badge("outdated", "warn"),
            " The configuration has changed since this replay started.",
          )
        : null,
      running
        ? progressBar(
            `${replay.progress.done} of ${replay.progress.total}`,
            replay.progress.total ? replay.progress.done / replay.progress.total : 0,
          )
        : null,
      may("admin") ? h("div", { class: "row" }, actions(replay, path, follow)) : null,
    ),
    replay.n === null ? null : report(replay),
  ];
}

function actions(replay, path, follow) {
  if (isActive(replay.state)) return cancelButton(path, follow);
  const applicable = replay.state === "succeeded" && !replay.applied_at;
  return [
    applicable
      ? button("Apply these changes", () => apply(replay, path, follow), { kind: "main" })
      : null,
    button("Delete", () => remove(path), { size: "small", kind: "plain" }),
  ];
}

async function apply(replay, path, follow) {
  const { model, classifier } = replay.changes;
  const selects = model !== undefined || (classifier !== undefined && classifier !== null);
  const done = await formDialog({
    title: "Apply these changes?",
    action: "Apply",
    before: h(
      "div",
      { class: "stack-small" },
      h("p", {}, "They hold from the next request on. All of them are made, or none."),
      changeTable(replay),
    ),
    fields: selects
      ? [
          {
            name: "check",
            label: "Require passing the promotion check",
            type: "checkbox",
            value: classifier !== undefined && classifier !== null,
          },
        ]
      : [],
    onSubmit: ({ check }, idempotencyKey) =>
      api("POST", `${path}/apply`, { body: selects ? { check } : {}, idempotencyKey }),
  });
  if (!done) return;
  notice("Changes applied.");
  await follow();
}

async function remove(path) {
  const done = await confirm({
    title: "Delete this replay?",
    body: h("p", {}, "Its report is deleted too. Applied changes stay."),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", path),
  });
  if (!done) return;
  notice("Replay deleted.");
  go(["replays"]);
}

const changeTable = ({ changes }) =>
  table({
    caption: "Changes",
    rows: changesOf(changes),
    columns: [
      { head: "What", heading: true, cell: ({ title }) => title },
      { head: "Tried", kind: "wide", cell: ({ text }) => text },
    ],
  });

function filterText(filter) {
  const parts = Object.entries(filter)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${words(name)}: ${value}`);
  return parts.join(", ") || null;
}

function report(replay) {
  const { labelled, model_calls: calls, cost } = replay;
  const share = replay.changed_share;
  return [
    h(
      "div",
      { class: "figures" },
      figure("Changed", `${count(replay.changed)} of ${count(replay.n)}`, {
        note: replay.n
          ? `${percent(share.share)} (${percent(share.low)} to ${percent(share.high)})`
          : null,
        info: "Queries that another agent would answer, or that would get another outcome, with the 95 % interval of the share.",
      }),
      figure("Accuracy", labelled.n ? percent(labelled.after.accuracy) : NOTHING, {
        note: labelled.n
          ? `was ${percent(labelled.before.accuracy)}, on ${plural(labelled.n, "labeled query", "labeled queries")}`
          : "no labeled queries",
        info: "Share of labeled queries that are right, near-duplicates counted once.",
      }),
      figure("Queries for a model", perThousand(calls.per_1000_after), {
        note: `was ${perThousand(calls.per_1000_before)}`,
        info: "Of 1,000 queries, how many need a model; without caches.",
      }),
      figure("Cost of 1,000 queries", usd(cost.per_1000_after_usd), {
        note: `was ${usd(cost.per_1000_before_usd)}`,
        info: "Model calls for 1,000 queries, without caches; calls without a known price are not included.",
      }),
    ),
    replay.n ? card("From where to where", matrix(replay)) : null,
    h(
      "div",
      { class: "columns" },
      labelled.n ? card("Labeled queries", labelledFacts(labelled)) : null,
      card("Layers", layerTable(replay.layers)),
      card("How it was replayed", replayedFacts(replay)),
    ),
  ];
}

const perThousand = (value) => (value === null ? NOTHING : `${count(Math.round(value))} per 1,000`);

function matrix({ matrix: cells }) {
  const counts = new Map();
  for (const { from, to, n } of cells) counts.set(`${placeOf(from)}\n${placeOf(to)}`, n);
  const names = (side) => [...new Set(cells.map((cell) => placeOf(cell[side])))].sort();
  return heatTable({
    label: "Decisions before and after",
    caption: "Rows: before. Columns: after.",
    corner: "Before",
    rows: names("from"),
    columns: names("to"),
    count: (before, after) => counts.get(`${before}\n${after}`) ?? 0,
    marked: (before, after) => before === after,
    describe: (before, after, n, all) => `${before} to ${after}: ${n} of ${all}`,
  });
}

/** Where a query goes, in words: an agent, or another outcome with its agent in brackets. */
const placeOf = ({ outcome, agent_id: agent }) => {
  if (outcome === "agent") return agentLabel(agent);
  return agent ? `${words(outcome)} (${agentLabel(agent)})` : words(outcome);
};

const labelledFacts = (labelled) =>
  facts([
    ["Queries", count(labelled.n)],
    [
      "Near-duplicates",
      labelled.near_duplicates ? `${count(labelled.near_duplicates)}, not used` : null,
    ],
    ["Right before and after", count(labelled.both_right)],
    ["Right before only", count(labelled.only_before)],
    ["Right after only", count(labelled.only_after)],
    [
      "Difference",
      `${points(labelled.difference)} (${points(labelled.low)} to ${points(labelled.high)})`,
    ],
    ["Sign test p", labelled.p.toPrecision(2)],
    [
      "Significant",
      labelled.p < 0.05
        ? badge(
            labelled.difference > 0 ? "better" : "worse",
            labelled.difference > 0 ? "good" : "bad",
          )
        : badge("no"),
    ],
  ]);

const layerTable = (layers) =>
  table({
    caption: "Decisions by layer",
    hideCaption: true,
    rows: layers,
    columns: [
      { head: "Layer", heading: true, cell: ({ layer }) => words(layer) },
      { head: "Before", cell: ({ before }) => count(before), kind: "number" },
      { head: "After", cell: ({ after }) => count(after), kind: "number" },
    ],
  });

const replayedFacts = ({ model_calls: calls, cost, same_agent: same, left_out: left, errors }) =>
  facts([
    ["Model calls", count(calls.made)],
    ["Rankings from the log", count(calls.reused)],
    ["Rankings from the cache", count(calls.cached)],
    ["Spent", usd(cost.spent_usd)],
    ["Changed, same agent answers", same ? count(same) : null],
    ...Object.entries(left).map(([why, n]) => [
      `Left out: ${LEFT_OUT[why] ?? words(why)}`,
      count(n),
    ]),
    ...Object.entries(errors).map(([why, n]) => [`Error: ${words(why)}`, count(n)]),
  ]);

function changedTable(replay, signal) {
  const only = field({
    name: "only",
    label: "Show",
    type: "select",
    options: [
      [null, "All changed queries"],
      ["broken", "Right before, wrong after"],
      ["fixed", "Wrong before, right after"],
    ],
  });
  return filteredTable(only, {
    caption: "Changed queries",
    path: `/v1/replays/${replay.id}/changes`,
    queryOf: (value) => ({ only: value, limit: 20 }),
    columns: CHANGED,
    none: () => h("p", { class: "muted" }, "None."),
    signal,
  });
}

const side = (decided) =>
  h(
    "div",
    { class: "stack-small" },
    h("span", {}, placeOf(decided)),
    h(
      "span",
      { class: "help" },
      [words(decided.layer), decided.confidence === null ? null : percent(decided.confidence)]
        .filter(Boolean)
        .join(", "),
    ),
  );

const CHANGED = [
  {
    head: "Query",
    heading: true,
    kind: "wide",
    cell: (one) => h("a", { href: address(["logs", one.id]) }, one.query),
  },
  { head: "Before", cell: ({ before }) => side(before) },
  { head: "After", cell: ({ after }) => side(after) },
  {
    head: "Label",
    cell: ({ label, before, after }) =>
      label === null
        ? NOTHING
        : [
            label,
            before.right === after.right
              ? null
              : [" ", badge(after.right ? "fixed" : "broken", after.right ? "good" : "bad")],
          ],
  },
];
