// Labels for many queries at once.

import { api } from "../api.js";
import { h } from "../dom.js";
import { NOTHING, percent, plural } from "../format.js";
import { agentName, agentOptions, NO_AGENT, readAgents } from "../parts/agents.js";
import { button, showError } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { field } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";

const ALL = "all";

export async function bulkTab({ query, signal }, room) {
  await load(
    room,
    () => readAgents(signal),
    (agents) => {
      const body = h("div", {});
      const show = (state) => {
        const labelled = state.labelled === ALL ? null : state.labelled;
        const asked = { ...state, labelled, kind: "route", limit: 100 };
        return load(
          body,
          () => api("GET", "/v1/logs", { query: asked, signal }),
          (page) => bulkView(page.data, agents, () => show(state)),
          { signal, keep: true },
        );
      };
      const specs = filterSpecs(agents);
      return [filters({ parts: ["labelling", "table"], specs, query, show }), body];
    },
    { signal },
  );
}

const filterSpecs = (agents) => [
  {
    name: "agent",
    label: "Answered by",
    type: "select",
    options: agentOptions(agents, [null, "All agents"]),
  },
  {
    name: "labelled",
    label: "Labelled",
    type: "select",
    value: "false",
    options: [
      [ALL, "All"],
      ["false", "Not yet"],
      ["true", "Already"],
    ],
  },
  {
    name: "max_confidence",
    label: "Confidence at most",
    type: "number",
    min: 0,
    max: 1,
    step: "any",
  },
  { name: "q", label: "Words in the query", placeholder: "all of them", live: true },
];

function bulkView(logs, agents, show) {
  const rows = logs.filter((log) => log.query);
  if (!rows.length)
    return empty("No query fits these filters", "Change them, or route something first.");
  const picked = new Map();
  const selects = new Map();
  const options = agentOptions(
    agents.filter((agent) => agent.enabled),
    [null, "–"],
    [NO_AGENT, "No agent fits"],
  );
  const choose = field({ name: "choose", label: "Give the chosen ones", type: "select", options });
  const saveButton = button("Save", () => save(), { kind: "main", disabled: true });
  const note = () => {
    saveButton.disabled = picked.size === 0;
    saveButton.textContent = picked.size ? `Save ${plural(picked.size, "label")}` : "Save";
  };
  const pick = (log, agentId) => {
    if (agentId === null) picked.delete(log.id);
    else picked.set(log.id, agentId);
    note();
  };
  const boxes = new Map(
    rows.map((log) => [
      log.id,
      h("input", { type: "checkbox", "aria-label": `Choose: ${log.query.slice(0, 80)}` }),
    ]),
  );
  choose.element.addEventListener("change", () => {
    if (choose.value() === null) return;
    for (const log of rows) {
      if (!boxes.get(log.id).checked) continue;
      selects.get(log.id).value = choose.value();
      pick(log, choose.value());
    }
  });
  const save = async () => {
    const body = [...picked].map(([id, agent]) => ({
      log_id: id,
      agent_id: agent === NO_AGENT ? null : agent,
    }));
    try {
      const { questions } = await api("POST", "/v1/labels", { body, once: crypto.randomUUID() });
      notice(`${plural(questions, "question")} ${questions === 1 ? "is" : "are"} labelled.`);
      await show();
    } catch (error) {
      showError(error);
    }
  };
  const all = h("input", {
    type: "checkbox",
    id: "choose-all",
    onchange: () => {
      for (const box of boxes.values()) box.checked = all.checked;
    },
  });
  const labelOf = (log) => {
    const select = h(
      "select",
      {
        "aria-label": `Label of: ${log.query.slice(0, 80)}`,
        onchange: () => pick(log, select.value || null),
      },
      options.map(([value, text]) => h("option", { value: value ?? "" }, text)),
    );
    selects.set(log.id, select);
    return select;
  };
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "spread" },
      h(
        "div",
        { class: "filters" },
        h("div", { class: "check" }, all, h("label", { for: "choose-all" }, "Choose all")),
        choose.element,
      ),
      saveButton,
    ),
    table({
      caption: "Queries",
      hideCaption: true,
      rows,
      columns: [
        { head: "Choose", cell: (log) => boxes.get(log.id) },
        { head: "Query", cell: (log) => log.query, kind: "wide", heading: true },
        {
          head: "Answered by",
          cell: (log) =>
            h(
              "div",
              {},
              agentName(agents, log.agent_id),
              h("div", { class: "help" }, percent(log.confidence)),
            ),
        },
        {
          head: "Label now",
          cell: (log) => (log.label ? agentName(agents, log.label.agent_id) : NOTHING),
        },
        { head: "New label", cell: labelOf },
      ],
    }),
  );
}
