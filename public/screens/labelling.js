// Labelling: one question at a time by keyboard, or many in a table.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, plural } from "../format.js";
import { agentName, readAgents } from "../parts/agents.js";
import { badge, button, link, pageHead, progressBar, tabs } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { address } from "../router.js";
import { givenTab } from "./labelling_given.js";
import { LabelQueue } from "./labelling_queue.js";
import { bulkTab } from "./labelling_table.js";

const TABS = [
  ["One at a time", "#/labelling"],
  ["Many at once", "#/labelling/table"],
  ["Given labels", "#/labelling/given"],
];

const MOST_DIGITS = 9;

export async function open(page) {
  const [tab] = page.path;
  const room = h("div", { class: "stack" });
  replace(
    page.root,
    pageHead(
      "Labelling",
      "Say which agent was the right one. The router learns from it, and is measured by it.",
    ),
    tabs("Labelling", tab ? `#/labelling/${tab}` : "#/labelling", TABS),
    room,
  );
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
      if (
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        event.target.closest("input, select, textarea, dialog")
      )
        return;
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
  return (agents.length <= MOST_DIGITS ? agents : [first, ...others].filter(Boolean)).slice(
    0,
    MOST_DIGITS,
  );
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
      h(
        "span",
        {},
        "Answered by ",
        h("strong", {}, agentName(agents, item.agent_id)),
        ` with ${percent(item.confidence)}`,
      ),
      layerBadge(item.layer),
      item.seen > 1 ? badge(`asked ${count(item.seen)} times`) : null,
    ),
    h(
      "p",
      { class: "help" },
      "Why this one: ",
      item.reasons.map((reason) => reason.text).join("; "),
      ".",
    ),
    h(
      "div",
      { class: "choices", role: "group", "aria-label": "Agents" },
      chosen.map((agent, index) =>
        h(
          "button",
          {
            class: "button choice",
            type: "button",
            "data-answered": agent.id === item.agent_id ? "true" : null,
            title: agent.description,
            onclick: () => act.give(agent.id),
          },
          h("kbd", {}, index + 1),
          h("span", { class: "wrap" }, agent.name),
          agent.id === item.agent_id ? badge("answered", "accent") : null,
        ),
      ),
      h(
        "button",
        { class: "button choice", type: "button", onclick: () => act.give(null) },
        h("kbd", {}, "0"),
        "No agent fits",
      ),
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
  const list = h(
    "datalist",
    { id: "other-agents" },
    others.map((agent) => h("option", { value: agent.name })),
  );
  const input = h("input", {
    id: "other-agent",
    list: "other-agents",
    autocomplete: "off",
    placeholder: "Type a part of the name, then Enter",
  });
  const pick = (event) => {
    event.preventDefault();
    const words = input.value.trim().toLowerCase();
    const found =
      words &&
      (others.find((agent) => agent.name.toLowerCase() === words) ??
        others.find((agent) => `${agent.name} ${agent.id}`.toLowerCase().includes(words)));
    if (found) act.give(found.id);
  };
  return h(
    "form",
    { class: "field", onsubmit: pick },
    h("label", { for: "other-agent" }, "Another agent ", h("kbd", {}, "/")),
    input,
    list,
  );
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
    queue.done
      ? "Train a classifier on the labels, or export them for an adapter."
      : "Questions come here once something was routed: those that say most first.",
    h(
      "div",
      { class: "row" },
      link("Train a classifier", "#/models/classifier"),
      link("Export the labels", "#/datasets"),
      queue.canUndo ? button("Undo the last one", () => queue.undo()) : null,
    ),
  );
}

const help = () =>
  h(
    "p",
    { class: "help" },
    h("kbd", {}, "1"),
    "–",
    h("kbd", {}, "9"),
    " choose an agent, ",
    h("kbd", {}, "0"),
    " none fits, ",
    h("kbd", {}, "Enter"),
    " keeps the router's answer, ",
    h("kbd", {}, "S"),
    " skips, ",
    h("kbd", {}, "U"),
    " undoes.",
  );
