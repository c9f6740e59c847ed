// Labels for many queries at once.

import { api } from "../api.js";
import { h } from "../dom.js";
import { NOTHING, percent, plural } from "../format.js";
import { agentName, agentOptions, NO_AGENT, readAgents } from "../parts/agents.js";
import { actionButton, button } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { field } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";

const ALL = "all";

const PAGE = 100;

export async function bulkTab({ query, signal }, room) {
  await load(
    room,
    () => readAgents(signal),
    (agents) => {
      const body = h("div", {});
      const picked = new Map(); // agents by log ids; they stay while the filters change
      const show = (state) => {
        const labelled = state.labelled === ALL ? null : state.labelled;
        const asked = { ...state, labelled, kind: "route", limit: PAGE };
        return load(
          body,
          () => api("GET", "/v1/logs", { query: asked, signal }),
          (page) => bulkView(page, agents, picked, () => show(state)),
          { signal, keep: true },
        );
      };
      const specs = filterSpecs(agents);
      return [filters({ parts: ["labelling", "table"], specs, query, show, signal }), body];
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

function bulkView(page, agents, picked, show) {
  const rows = page.data.filter((log) => log.query);
  const options = agentOptions(
    agents.filter((agent) => agent.enabled),
    [null, "–"],
    [NO_AGENT, "No agent fits"],
  );
  const selects = new Map(rows.map((log) => [log.id, labelSelect(log, options, picked, note)]));
  const boxes = new Map(
    rows.map((log) => [
      log.id,
      h("input", { type: "checkbox", "aria-label": `Choose: ${log.query.slice(0, 80)}` }),
    ]),
  );
  const save = actionButton("Save", () => write(picked, show), { kind: "main" });
  const unseen = h("span", { class: "help" });
  function note() {
    const hidden = [...picked.keys()].filter((id) => !selects.has(id)).length;
    save.disabled = picked.size === 0;
    save.textContent = picked.size ? `Save ${plural(picked.size, "label")}` : "Save";
    unseen.textContent = hidden ? `${plural(hidden, "label")} of queries not shown now` : "";
  }
  note();
  if (!rows.length) {
    return [
      empty("No query fits these filters", "Change them, or route something first."),
      picked.size ? h("div", { class: "row" }, save, unseen) : null,
    ];
  }
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "spread" },
      applyForm(options, boxes, selects),
      h("div", { class: "row" }, unseen, save),
    ),
    queryTable(rows, agents, boxes, selects),
    page.has_more
      ? h(
          "p",
          { class: "help" },
          `These are the newest ${PAGE} that fit. Label them, or narrow the filters, for others.`,
        )
      : null,
  );
}

async function write(picked, show) {
  const body = [...picked].map(([id, agent]) => ({
    log_id: id,
    agent_id: agent === NO_AGENT ? null : agent,
  }));
  const { questions } = await api("POST", "/v1/labels", { body, once: crypto.randomUUID() });
  picked.clear();
  notice(`${plural(questions, "question")} ${questions === 1 ? "is" : "are"} labelled.`);
  await show();
}

function labelSelect(log, options, picked, note) {
  const select = h(
    "select",
    {
      "aria-label": `Label of: ${log.query.slice(0, 80)}`,
      onchange: () => {
        if (select.value) picked.set(log.id, select.value);
        else picked.delete(log.id);
        note();
      },
    },
    options.map(([value, text]) => h("option", { value: value ?? "" }, text)),
  );
  select.value = picked.get(log.id) ?? "";
  return select;
}

/** Gives the chosen rows one label. */
function applyForm(options, boxes, selects) {
  const choice = field({ name: "choose", label: "Give the chosen ones", type: "select", options });
  const all = h("input", {
    type: "checkbox",
    id: "choose-all",
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
    h("div", { class: "check" }, all, h("label", { for: "choose-all" }, "Choose all")),
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
      { head: "Choose", cell: (log) => boxes.get(log.id) },
      { head: "Query", cell: (log) => log.query, kind: "wide", heading: true },
      {
        head: "Answered by",
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
        head: "Label now",
        cell: (log) => (log.label ? agentName(agents, log.label.agent_id) : NOTHING),
      },
      { head: "New label", cell: (log) => selects.get(log.id) },
    ],
  });
}
