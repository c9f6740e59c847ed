// The confusion matrix of each contestant of an evaluation, and its scores by agent.

import { h, replace } from "../dom.js";
import { count, percent } from "../format.js";
import { agentLabel, agentName } from "../parts/agents.js";
import { card } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { heatTable } from "../parts/heat.js";
import { table } from "../parts/table.js";
import { contestant, contestantOptions } from "./evaluations_names.js";

// Columns that are not agents; they come last.
const UNDECIDED = ["deferred", "failed"];

/** `open({model, label, decided})` shows the queries of a cell; `first` is the id of the contestant to begin with. */
export function matrixCard(evaluation, agents, first, open) {
  const { models } = evaluation.results;
  const choice = field({
    name: "matrix_of",
    label: "Contestant",
    type: "select",
    value: evaluation.model_ids.includes(first) ? first : models[0].model_id,
    options: contestantOptions(evaluation),
  });
  const shown = h("div", { class: "stack" });
  const show = () => {
    const model = models.find((each) => each.model_id === choice.value());
    const name = contestant(evaluation, model.model_id);
    replace(
      shown,
      matrix(model, name, agents, open),
      h("details", {}, h("summary", {}, "Precision, recall and F1 by agent"), scores(model, name)),
    );
  };
  choice.element.addEventListener("change", show);
  show();
  return card(
    "Confusion matrix",
    models.length > 1 ? h("div", { class: "filters" }, choice.element) : null,
    shown,
  );
}

/** Rows are labels, columns are decisions. */
function matrix({ model_id: model, confusion: counts }, name, agents, open) {
  const labels = Object.keys(counts).sort();
  const columns = [...new Set([...labels, ...Object.values(counts).flatMap(Object.keys)])].sort(
    (one, other) => UNDECIDED.indexOf(one) - UNDECIDED.indexOf(other) || one.localeCompare(other),
  );
  const fullName = (id) =>
    UNDECIDED.includes(id) || agentName(agents, id) === id
      ? id
      : `${agentName(agents, id)} (${id})`;
  return heatTable({
    label: `Confusion matrix of ${name}`,
    caption: "Rows: labels. Columns: decisions. A number opens its queries.",
    corner: "Label",
    rows: labels,
    columns,
    count: (label, decided) => counts[label][decided] ?? 0,
    marked: (label, decided) => label === decided,
    describe: (label, decided, n, all) =>
      `${fullName(label)} routed to ${fullName(decided)}: ${count(n)} of ${count(all)} (${percent(all ? n / all : 0)})`,
    titleOf: fullName,
    open: (label, decided) => open({ model, label, decided }),
  });
}

const scores = ({ agents }, name) =>
  table({
    caption: `${name} by agent`,
    hideCaption: true,
    rows: agents,
    columns: [
      { head: "Agent", cell: (agent) => agentLabel(agent.agent), heading: true },
      { head: "Queries", cell: (agent) => count(agent.support), kind: "number" },
      { head: "Precision", cell: (agent) => percent(agent.precision), kind: "number" },
      { head: "Recall", cell: (agent) => percent(agent.recall), kind: "number" },
      { head: "F1", cell: (agent) => percent(agent.f1), kind: "number" },
    ],
  });
