// The history of selections: which model or classifier was selected when, by whom, and how it was
// checked. Each can be selected again.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, duration, NOTHING, percent, plural, points } from "../format.js";
import { callerLabel } from "../parts/callers.js";
import { badge, button } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { readCallerNames } from "../parts/names.js";
import { pagedTable } from "../parts/table.js";
import { when } from "../parts/when.js";
import { select } from "./models_select.js";

const TYPE = {
  name: "type",
  label: "Type",
  type: "select",
  value: "model",
  options: [
    ["model", "Active model"],
    ["classifier", "Classifier"],
  ],
};
const PATH = "/v1/models/selections";

export async function historyTab({ query, signal, may }, container) {
  const body = h("div", {});
  const show = ({ type }) =>
    load(
      body,
      () =>
        Promise.all([
          api("GET", PATH, { query: { type }, signal }),
          readModels(signal),
          api("GET", "/v1/models/select", { signal }),
          readCallerNames({ may, signal }),
        ]),
      ([first, models, selection]) => {
        const again = () => show({ type });
        const columns = columnsOf(models, selection, { type, may, again, signal });
        return first.data.length
          ? pagedTable({
              caption: "Selections",
              columns,
              first,
              path: PATH,
              query: { type },
              signal,
            })
          : empty("No selections", "Each selection appears here, with its check and who made it.");
      },
      { signal, keep: true },
    );
  container.replaceChildren(
    filters({ parts: ["models", "history"], specs: [TYPE], query, show, signal }),
    body,
  );
}

function columnsOf(models, selection, { type, may, again, signal }) {
  const inForce = type === "model" ? selection.active : selection.classifier;
  const rollBack = ({ model_id: id }) => {
    const model = models.find((one) => one.id === id);
    if (id === null || id === inForce) return null;
    if (model?.status !== "available") return h("span", { class: "help" }, "not available");
    return button("Roll back to this", () => select(model, selection, models, again, signal), {
      size: "small",
      label: `Roll back to this: ${id}`,
    });
  };
  return [
    {
      head: "Selected",
      heading: true,
      kind: "wide",
      cell: (each) => [
        h("span", { class: "row" }, nameOf(each.model_id, type), stateOf(each, inForce)),
        h("div", { class: "help" }, "before: ", nameOf(each.previous, type)),
      ],
    },
    { head: "Time", cell: (each) => when(each.selected_at) },
    {
      head: "For",
      cell: ({ selected_at: from, until }) =>
        duration((until ? Date.parse(until) : Date.now()) - Date.parse(from)),
    },
    {
      head: "By",
      cell: ({ actor, by_rule: byRule }) =>
        byRule ? badge("rule", "accent") : actor ? callerLabel(actor) : NOTHING,
    },
    { head: "Check", kind: "wide", cell: checkOf },
    ...(may("admin") ? [{ head: "Actions", kind: "actions", cell: rollBack }] : []),
  ];
}

const nameOf = (id, type) => id ?? (type === "model" ? "default of the installation" : "none");

function stateOf({ model_id: id, until }, inForce) {
  return until === null && (id ?? inForce) === inForce ? badge("in force", "good") : null;
}

function checkOf({ check, reason }) {
  if (reason) return reason;
  if (!check) return h("span", { class: "help" }, "not checked");
  if (check.score)
    return `Passed: precision at least ${percent(check.lower_bound)} on ${plural(check.score.n, "test query", "test queries")}, ${percent(check.required)} required.`;
  return `Passed: ${points(check.difference)} on ${plural(check.n, "test query", "test queries")}, lower bound ${points(check.lower_bound)}; ${count(check.earlier_looks)} earlier evaluations.`;
}
