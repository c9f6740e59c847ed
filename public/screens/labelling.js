// Labelling: one question at a time by keyboard, or many in a table.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, count, percent, plural, time } from "../format.js";
import { agentName, agentOptions, NO_AGENT, readAgents } from "../parts/agents.js";
import { badge, button, card, link, pageHead, progressBar, showError, tabs } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { field } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { pagedTable, table } from "../parts/table.js";
import { address, noteState } from "../router.js";
import { LabelQueue } from "./labelling_queue.js";

const TABS = [
  ["One at a time", "#/labelling"],
  ["Many at once", "#/labelling/table"],
  ["Given labels", "#/labelling/given"],
];
const MOST_DIGITS = 9;

export async function open(page) {
  const [tab] = page.path;
  const room = h("div", { class: "stack" });
  replace(page.root, pageHead("Labelling", "Say which agent was the right one. The router learns from it, and is measured by it."), tabs("Labelling", tab ? `#/labelling/${tab}` : "#/labelling", TABS), room);
  await ({ table: bulkTab, given: givenTab }[tab] ?? singleTab)(page, room);
}

async function singleTab({ signal }, room) {
  await load(
    room,
    async () => {
      const agents = (await readAgents(signal)).filter((agent) => agent.enabled);
      const queue = new LabelQueue(signal);
      await queue.fill();
      return { agents, queue, stats: await api("GET", "/v1/labels/stats", { signal }) };
    },
    ({ agents, queue, stats }) => singleView(agents, queue, stats, signal),
    { signal },
  );
}

function singleView(agents, queue, stats, signal) {
  const room = h("div", { class: "stack" });
  const progress = h("div", { "aria-live": "off" });
  const said = h("p", { class: "hidden-text", role: "status" });
  let chosen = [];
  const draw = () => {
    const item = queue.current;
    replace(progress, progressLine(queue, stats));
    if (!item) {
      replace(room, queue.loading ? h("p", { class: "loading" }, "Loading …") : finished(queue));
      return;
    }
    chosen = choices(agents, item);
    replace(room, itemView(item, chosen, agents, act));
    said.textContent = item.query;
  };
  const act = {
    give: (agentId) => queue.label(agentId),
    keep: () => queue.label(queue.current.agent_id),
    skip: () => queue.skip(),
    undo: () => queue.undo(),
  };
  queue.onChange = draw;
  queue.onError = (error, item) => {
    notice(`“${item.query.slice(0, 60)}” was not saved: ${error.message} It is back in the queue.`);
  };
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
      if (event.key === "Enter" && event.target.closest("a, button")) return;
      const key = event.key.toLowerCase();
      if (key === "u") act.undo();
      else if (!queue.current) return;
      else if (key === "enter") act.keep();
      else if (key === "s") act.skip();
      else if (key === "/") room.querySelector("input")?.focus();
      else if (key === "0") act.give(null);
      else if (/^[1-9]$/.test(key) && chosen[key - 1]) act.give(chosen[key - 1].id);
      else return;
      event.preventDefault();
    },
    { signal },
  );
  draw();
  return [progress, room, said, help()];
}

/** The router's answer first, then by name: digits stay where they are while the answer does. */
function choices(agents, item) {
  const others = agents.filter((agent) => agent.id !== item.agent_id);
  const first = agents.find((agent) => agent.id === item.agent_id);
  return (agents.length <= MOST_DIGITS ? agents : [first, ...others].filter(Boolean)).slice(0, MOST_DIGITS);
}

function itemView(item, chosen, agents, act) {
  const others = agents.filter((agent) => !chosen.includes(agent));
  return h(
    "section",
    { class: "card stack label-item" },
    h("p", { class: "label-query" }, item.query),
    h(
      "div",
      { class: "row small" },
      h("span", {}, "Answered by ", h("strong", {}, agentName(agents, item.agent_id)), ` with ${percent(item.confidence)}`),
      layerBadge(item.layer),
      item.seen > 1 ? badge(`asked ${count(item.seen)} times`) : null,
    ),
    h("p", { class: "help" }, "Why this one: ", item.reasons.map((reason) => reason.text).join("; "), "."),
    h(
      "div",
      { class: "choices", role: "group", "aria-label": "Agents" },
      chosen.map((agent, index) =>
        h(
          "button",
          { class: "button choice", type: "button", "data-answered": agent.id === item.agent_id ? "true" : null, title: agent.description, onclick: () => act.give(agent.id) },
          h("kbd", {}, index + 1),
          h("span", { class: "wrap" }, agent.name),
          agent.id === item.agent_id ? badge("answered", "accent") : null,
        ),
      ),
      h("button", { class: "button choice", type: "button", onclick: () => act.give(null) }, h("kbd", {}, "0"), "No agent fits"),
    ),
    others.length ? otherAgents(others, act) : null,
    h(
      "div",
      { class: "row" },
      button(["Keep the answer ", h("kbd", {}, "Enter")], act.keep, { kind: "main" }),
      button(["Skip ", h("kbd", {}, "S")], act.skip),
      button(["Undo ", h("kbd", {}, "U")], act.undo),
      link("Whole story", address(["logs", item.log_id]), { kind: "plain" }),
    ),
  );
}

/** Beyond nine agents: by a part of the name. */
function otherAgents(others, act) {
  const list = h("datalist", { id: "other-agents" }, others.map((agent) => h("option", { value: agent.name })));
  const input = h("input", { id: "other-agent", list: "other-agents", autocomplete: "off", placeholder: "Type a part of the name, then Enter" });
  const pick = (event) => {
    event.preventDefault();
    const words = input.value.trim().toLowerCase();
    const found = words && (others.find((agent) => agent.name.toLowerCase() === words) ?? others.find((agent) => `${agent.name} ${agent.id}`.toLowerCase().includes(words)));
    if (found) act.give(found.id);
  };
  return h("form", { class: "field", onsubmit: pick }, h("label", { for: "other-agent" }, "Another agent ", h("kbd", {}, "/")), input, list);
}

function progressLine(queue, stats) {
  const rest = queue.rest;
  const all = queue.done + rest;
  return progressBar(
    `${count(queue.done)} labelled now, ${queue.complete ? count(rest) : `${count(rest)} or more`} to go; ${plural(stats.labels + queue.done, "label")} in all`,
    all ? queue.done / all : 0,
  );
}

function finished(queue) {
  return empty(
    queue.done ? "That was the last one" : "Nothing waits for a label",
    queue.done ? "Train a classifier on the labels, or export them for an adapter." : "Questions come here once something was routed: those that say most first.",
    h("div", { class: "row" }, link("Train a classifier", "#/models/classifier"), link("Export the labels", "#/datasets"), queue.canUndo ? button("Undo the last one", () => queue.undo()) : null),
  );
}

const help = () =>
  h("p", { class: "help" }, h("kbd", {}, "1"), "–", h("kbd", {}, "9"), " choose an agent, ", h("kbd", {}, "0"), " none fits, ", h("kbd", {}, "Enter"), " keeps the router's answer, ", h("kbd", {}, "S"), " skips, ", h("kbd", {}, "U"), " undoes.");

async function bulkTab({ query, signal }, room) {
  const agents = await readAgents(signal);
  const names = agentOptions(agents, [null, "All agents"]);
  const filters = {
    agent: field({ name: "agent", label: "Answered by", type: "select", value: query.get("agent"), options: names }),
    labelled: field({ name: "labelled", label: "Labelled", type: "select", value: query.get("labelled") ?? "false", options: [[null, "All"], ["false", "Not yet"], ["true", "Already"]] }),
    max_confidence: field({ name: "max_confidence", label: "Confidence at most", type: "number", min: 0, max: 1, step: "any", value: query.get("max_confidence") }),
    q: field({ name: "q", label: "Words in the query", value: query.get("q"), placeholder: "all of them" }),
  };
  const body = h("div", {});
  const show = () => {
    const state = Object.fromEntries(Object.entries(filters).map(([name, each]) => [name, each.value()]));
    noteState(["labelling", "table"], state);
    return load(body, () => api("GET", "/v1/logs", { query: { ...state, kind: "route", limit: 100 }, signal }), (page) => bulkView(page.data, agents, show), { signal, keep: true });
  };
  const form = h("form", { class: "filters", onchange: show, onsubmit: (event) => event.preventDefault() }, Object.values(filters).map((each) => each.element));
  replace(room, form, body);
  await show();
}

function bulkView(logs, agents, show) {
  const rows = logs.filter((log) => log.query);
  if (!rows.length) return empty("No query fits these filters", "Change them, or route something first.");
  const picked = new Map();
  const selects = new Map();
  const options = agentOptions(agents.filter((agent) => agent.enabled), [null, "–"], [NO_AGENT, "No agent fits"]);
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
  const boxes = new Map(rows.map((log) => [log.id, h("input", { type: "checkbox", "aria-label": `Choose: ${log.query.slice(0, 80)}` })]));
  choose.element.addEventListener("change", () => {
    if (choose.value() === null) return;
    for (const log of rows) {
      if (!boxes.get(log.id).checked) continue;
      selects.get(log.id).value = choose.value();
      pick(log, choose.value());
    }
  });
  const save = async () => {
    const body = [...picked].map(([id, agent]) => ({ log_id: id, agent_id: agent === NO_AGENT ? null : agent }));
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
    onchange: () => boxes.forEach((box) => (box.checked = all.checked)),
  });
  const labelOf = (log) => {
    const select = h("select", { "aria-label": `Label of: ${log.query.slice(0, 80)}`, onchange: () => pick(log, select.value || null) }, options.map(([value, text]) => h("option", { value: value ?? "" }, text)));
    selects.set(log.id, select);
    return select;
  };
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "spread" }, h("div", { class: "filters" }, h("div", { class: "check" }, all, h("label", { for: "choose-all" }, "Choose all")), choose.element), saveButton),
    table({
      caption: "Queries",
      hideCaption: true,
      rows,
      columns: [
        { head: "Choose", cell: (log) => boxes.get(log.id) },
        { head: "Query", cell: (log) => log.query, kind: "wide", heading: true },
        { head: "Answered by", cell: (log) => h("div", {}, agentName(agents, log.agent_id), h("div", { class: "help" }, percent(log.confidence))) },
        { head: "Label now", cell: (log) => (log.label ? agentName(agents, log.label.agent_id) : NOTHING) },
        { head: "New label", cell: labelOf },
      ],
    }),
  );
}

async function givenTab({ query, signal }, room) {
  const agents = await readAgents(signal);
  const filters = {
    agent: field({ name: "agent", label: "Agent", type: "select", value: query.get("agent"), options: agentOptions(agents, [null, "All"], [NO_AGENT, "No agent fits"]) }),
    split: field({ name: "split", label: "Part", type: "select", value: query.get("split"), options: [[null, "All"], ["train", "Training"], ["validation", "Validation"], ["test", "Test"]] }),
  };
  const body = h("div", { class: "stack" });
  const show = () => {
    const state = Object.fromEntries(Object.entries(filters).map(([name, each]) => [name, each.value()]));
    noteState(["labelling", "given"], state);
    const asked = { ...state, limit: 50 };
    return load(
      body,
      () => Promise.all([api("GET", "/v1/labels", { query: asked, signal }), api("GET", "/v1/labels/stats", { signal })]),
      ([page, stats]) => [
        card("So far", statsView(stats, agents)),
        page.data.length
          ? pagedTable({
              caption: "Labels",
              first: page,
              path: "/v1/labels",
              query: asked,
              signal,
              columns: [
                { head: "Query", cell: (label) => label.query, kind: "wide", heading: true },
                { head: "Agent", cell: (label) => agentName(agents, label.agent_id) },
                { head: "Part", cell: (label) => label.split },
                { head: "By", cell: (label) => label.labeler },
                { head: "When", cell: (label) => time(label.created_at) },
                { head: "Log", cell: (label) => (label.log_id ? h("a", { href: address(["logs", label.log_id]), "aria-label": `Open the log of ${label.query.slice(0, 60)}` }, "Open") : NOTHING) },
              ],
            })
          : empty("No label fits these filters", "Give some under “One at a time”."),
      ],
      { signal, keep: true },
    );
  };
  replace(room, h("form", { class: "filters", onchange: show, onsubmit: (event) => event.preventDefault() }, Object.values(filters).map((each) => each.element)), body);
  await show();
}

function statsView({ labels, splits, agreement, labelers }, agents) {
  return h(
    "p",
    {},
    `${plural(labels, "label")} by ${plural(labelers.length, "labeler")}: ${count(splits.train)} for training, ${count(splits.validation)} for validation, ${count(splits.test)} for tests. `,
    agreement.pairs ? `Where two labelled the same question they agree in ${percent(agreement.share)}${agreement.kappa === null ? "" : ` (Cohen's kappa ${agreement.kappa.toFixed(2)})`}.` : `${plural(agents.length, "agent")} can be chosen.`,
  );
}
