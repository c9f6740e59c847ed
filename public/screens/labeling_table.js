// Bulk labeling: many queries in a table.

import { api } from "../api.js";
import { h } from "../dom.js";
import { NOTHING, percent, plural } from "../format.js";
import { agentName, agentOptions, NO_AGENT, OUT_OF_SCOPE, readAgents } from "../parts/agents.js";
import { contextLine } from "../parts/context.js";
import { actionButton, button } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { field } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { confirmCard } from "./labeling_confirm.js";

const ALL = "all";

const PAGE = 100;

export async function bulkTab({ query, signal }, container) {
  await load(
    container,
    () => readAgents(signal),
    (agents) => {
      const body = h("div", {});
      const picked = new Map(); // agents by log id; kept when the filters change
      const show = (state) => {
        const labelled = state.labelled === ALL ? null : state.labelled;
        const query = { ...state, labelled, kind: "route", limit: PAGE };
        return load(
          body,
          () => api("GET", "/v1/logs", { query, signal }),
          (page) => bulkView(page, agents, picked, () => show(state)),
          { signal, keep: true },
        );
      };
      const specs = filterSpecs(agents);
      let shown = null; // the current filters, to reload the table after a confirmation
      const showFiltered = (state) => {
        shown = state;
        return show(state);
      };
      return [
        confirmCard(agents, { signal, onChange: () => show(shown) }),
        filters({ parts: ["labeling", "bulk"], specs, query, show: showFiltered, signal }),
        body,
      ];
    },
    { signal },
  );
}

const filterSpecs = (agents) => [
  {
    name: "agent",
    label: "Routed to",
    type: "select",
    options: agentOptions(agents, [null, "All agents"]),
  },
  {
    name: "labelled",
    label: "Labeled",
    type: "select",
    value: "false",
    options: [
      [ALL, "All"],
      ["false", "No"],
      ["true", "Yes"],
    ],
  },
  {
    name: "max_confidence",
    label: "Max confidence",
    type: "number",
    min: 0,
    max: 1,
    step: "any",
  },
  { name: "q", label: "Search queries", placeholder: "words or parts of words", live: true },
];

function bulkView(page, agents, picked, show) {
  const rows = page.data.filter((log) => log.query);
  const options = agentOptions(
    agents.filter((agent) => agent.enabled),
    [null, "–"],
    [NO_AGENT, OUT_OF_SCOPE],
  );
  const selects = new Map(rows.map((log) => [log.id, labelSelect(log, options, picked, update)]));
  const boxes = new Map(
    rows.map((log) => [
      log.id,
      h("input", { type: "checkbox", "aria-label": `Select: ${log.query.slice(0, 80)}` }),
    ]),
  );
  const save = actionButton("Save", () => write(picked, show), { kind: "main" });
  const hiddenLabels = h("span", { class: "help" });
  function update() {
    const hidden = [...picked.keys()].filter((id) => !selects.has(id)).length;
    save.disabled = picked.size === 0;
    save.textContent = picked.size ? `Save ${plural(picked.size, "label")}` : "Save";
    hiddenLabels.textContent = hidden ? `${plural(hidden, "label")} for hidden queries` : "";
  }
  update();
  if (!rows.length) {
    return [
      empty("No queries match these filters", "Change the filters, or route a query first."),
      picked.size ? h("div", { class: "row" }, save, hiddenLabels) : null,
    ];
  }
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "spread" },
      applyForm(options, boxes, selects),
      h("div", { class: "row" }, hiddenLabels, save),
    ),
    queryTable(rows, agents, boxes, selects),
    page.has_more
      ? h(
          "p",
          { class: "help" },
          `Only the newest ${PAGE} matches are shown. Label them, or add filters to see others.`,
        )
      : null,
  );
}

async function write(picked, show) {
  const body = [...picked].map(([id, agent]) => ({
    log_id: id,
    agent_id: agent === NO_AGENT ? null : agent,
  }));
  const idempotencyKey = crypto.randomUUID();
  const { questions } = await api("POST", "/v1/labels", { body, idempotencyKey });
  picked.clear();
  notice(`${plural(questions, "query", "queries")} labeled.`);
  await show();
}

function labelSelect(log, options, picked, update) {
  const select = h(
    "select",
    {
      "aria-label": `Label of: ${log.query.slice(0, 80)}`,
      onchange: () => {
        if (select.value) picked.set(log.id, select.value);
        else picked.delete(log.id);
        update();
      },
    },
    options.map(([value, text]) => h("option", { value: value ?? "" }, text)),
  );
  select.value = picked.get(log.id) ?? "";
  return select;
}

/** Sets one label for all selected rows. */
function applyForm(options, boxes, selects) {
  const choice = field({
    name: "bulk_label",
    label: "Set label for selected",
    type: "select",
    options,
  });
  const all = h("input", {
    type: "checkbox",
    id: "select-all",
    onchange: () => {
      for (const box of boxes.values()) box.checked = all.checked;
    },
  });
  const apply = button("Apply", () => {
    for (const [id, select] of selects) {
      if (!boxes.get(id).checked) continue;
      select.value = choice.value() ?? "";
      select.dispatchEvent(new Event("change"));
    }
  });
  return h(
    "div",
    { class: "filters" },
    h("div", { class: "check" }, all, h("label", { for: "select-all" }, "Select all")),
    choice.element,
    apply,
  );
}

function queryTable(rows, agents, boxes, selects) {
  return table({
    caption: "Queries",
    hideCaption: true,
    rows,
    columns: [
      { head: "Select", cell: (log) => boxes.get(log.id) },
      { head: "Query", cell: (log) => [contextLine(log), log.query], kind: "wide", heading: true },
      {
        head: "Routed to",
        cell: (log) =>
          log.agent_id === null
            ? NOTHING
            : h(
                "div",
                {},
                agentName(agents, log.agent_id),
                h("div", { class: "help" }, percent(log.stated_confidence)),
              ),
      },
      {
        head: "Current label",
        cell: (log) => (log.label ? agentName(agents, log.label.agent_id) : NOTHING),
      },
      { head: "New label", cell: (log) => selects.get(log.id) },
    ],
  });
}
