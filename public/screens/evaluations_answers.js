// The queries of an evaluation with what each contestant decided: the wrong ones, or those of a cell of the
// confusion matrix. A wrong label is corrected here.

import { h, replace } from "../dom.js";
import { ms, NOTHING, plural, words } from "../format.js";
import { agentName, NO_AGENT, OUT_OF_SCOPE } from "../parts/agents.js";
import { contextLine } from "../parts/context.js";
import { button } from "../parts/controls.js";
import { choices, filters } from "../parts/filters.js";
import { listTable } from "../parts/table.js";
import { setLabelOf, UNSAVED_CHANGED, unsaved } from "../parts/unsaved_labels.js";
import { contestantOptions } from "./evaluations_names.js";

const PAGE = 20;
const WRONG = "wrong";
const ALL = "all";

/** `open({model, label, decided})` shows the queries of a cell of the confusion matrix. */
export function answersCard({ evaluation, agents, query, signal, may }) {
  const bar = h("div", {});
  const list = h("div", {});
  const columns = columnsOf(agents, may("label"), signal);
  const show = ({ result, ...state }) =>
    listTable(list, {
      caption: "Queries of the evaluation",
      path: `/v1/evaluations/${evaluation.id}/answers`,
      query: { ...state, wrong: result === WRONG, limit: PAGE },
      columns,
      none: () => h("p", { class: "muted" }, noneText(evaluation, result, state)),
      signal,
    });
  const parts = ["evaluations", evaluation.id];
  const specs = filterSpecs(evaluation, agents);
  const filter = (state) => replace(bar, filters({ parts, specs, query: state, show, signal }));
  filter(query);
  const element = h(
    "section",
    { class: "card", tabindex: "-1", "aria-labelledby": "evaluation-queries" },
    h("div", { class: "card-head" }, h("h2", { id: "evaluation-queries" }, "Queries")),
    h(
      "div",
      { class: "stack" },
      may("label")
        ? h(
            "p",
            { class: "help" },
            "A label that you correct here counts in the next evaluation and the next training; these results stay as they are.",
          )
        : null,
      bar,
      list,
    ),
  );
  const open = (cell) => {
    filter(new URLSearchParams({ ...cell, result: ALL }));
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "start" });
  };
  return { element, open };
}

function filterSpecs(evaluation, agents) {
  const { models } = evaluation.results;
  const labels = Object.keys(models[0].confusion).sort();
  const decided = new Set(
    models.flatMap(({ confusion }) => Object.values(confusion).flatMap(Object.keys)),
  );
  const name = (id) => (id === NO_AGENT ? OUT_OF_SCOPE : agentName(agents, id));
  return [
    {
      name: "model",
      label: "Contestant",
      type: "select",
      value: evaluation.model_ids[0],
      options: contestantOptions(evaluation),
    },
    {
      name: "result",
      label: "Decisions",
      type: "select",
      value: WRONG,
      options: [
        [WRONG, "Wrong ones"],
        [ALL, "All"],
      ],
    },
    {
      name: "label",
      label: "Label",
      type: "select",
      options: choices(labels, name, [null, "Any"]),
    },
    {
      name: "decided",
      label: "Routed to",
      type: "select",
      options: choices([...decided].sort(), name, [null, "Any"]),
    },
  ];
}

function noneText(evaluation, result, { label, decided }) {
  if (label || decided) return "No query matches these filters.";
  if (result !== WRONG) return "No queries.";
  return `None: ${plural(evaluation.labels, "query", "queries")} without a wrong decision.`;
}

const columnsOf = (agents, mayLabel, signal) => [
  {
    head: "Query",
    cell: (answer) => [contextLine(answer), answer.query],
    kind: "wide",
    heading: true,
  },
  { head: "Label", cell: (answer) => agentName(agents, answer.label) },
  {
    head: "Routed to",
    cell: ({ decided }) => (decided === null ? NOTHING : agentName(agents, decided)),
  },
  { head: "Reason", cell: (answer) => words(answer.reason) },
  { head: "Latency", cell: (answer) => ms(answer.ms), kind: "number" },
  mayLabel
    ? { head: "Correct agent", cell: (answer) => relabeling(answer, agents, signal) }
    : { head: "Label now", cell: ({ current_label: now }) => labelName(agents, now) },
];

const labelName = (agents, label) => (label === null ? NOTHING : agentName(agents, label));

/** A select with the label in force, and a button that saves another one. */
function relabeling(answer, agents, signal) {
  let saved = answer.current_label;
  let sending = false;
  const name = answer.query.slice(0, 80);
  const state = h("span", { class: "help", role: "status" });
  const select = h(
    "select",
    { "aria-label": `Correct agent of: ${name}`, onchange: () => update() },
    optionsOf(answer, agents).map(([value, text]) => h("option", { value }, text)),
  );
  const save = button("Relabel", () => send(), { size: "small", label: `Relabel: ${name}` });
  const update = (text = "") => {
    save.hidden = select.value === (saved ?? "") || select.value === "";
    state.textContent = text;
  };
  const showSaved = () => {
    if (!sending || unsaved().logs.includes(answer.query_hash)) return;
    sending = false;
    update("Relabeled");
  };
  const send = () => {
    const before = saved;
    saved = select.value;
    select.focus(); // the button goes
    update("Saving …");
    sending = true;
    const change = {
      query_hash: answer.query_hash,
      agent_id: saved === NO_AGENT ? null : saved,
    };
    setLabelOf(change, ({ message }) => {
      saved = before;
      sending = false;
      update(`Not saved: ${message}`);
    });
  };
  window.addEventListener(UNSAVED_CHANGED, showSaved, { signal });
  select.value = saved ?? "";
  update();
  return h("div", { class: "row" }, select, save, state);
}

/** Enabled agents, and the label in force, whatever it is. */
function optionsOf({ current_label: label }, agents) {
  const enabled = agents.filter((agent) => agent.enabled).map((agent) => [agent.id, agent.name]);
  const known = label === NO_AGENT || enabled.some(([id]) => id === label);
  return [
    ...(label === null ? [["", "No label"]] : []),
    [NO_AGENT, OUT_OF_SCOPE],
    ...(label === null || known ? [] : [[label, agentName(agents, label)]]),
    ...enabled,
  ];
}
