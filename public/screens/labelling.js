// Labelling: one question at a time by keyboard, or many in a table.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, plural } from "../format.js";
import { agentName, readAgents } from "../parts/agents.js";
import { badge, button, link, progressBar } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { openTab } from "../parts/tabbed.js";
import { address } from "../router.js";
import { givenTab } from "./labelling_given.js";
import { LabelQueue } from "./labelling_queue.js";
import { bulkTab } from "./labelling_table.js";

const MAX_DIGITS = 9;

const TEXT = "Say which agent was the right one. The router learns from it, and is measured by it.";

export const open = (page) =>
  openTab(page, "labelling", "Labelling", TEXT, [
    ["One at a time", "", (page, room) => singleTab(page, room, "hard")],
    ["Random sample", "random", (page, room) => singleTab(page, room, "random")],
    ["Many at once", "table", bulkTab],
    ["Given labels", "given", givenTab],
  ]);

async function singleTab({ signal }, room, stream) {
  await load(
    room,
    async () => {
      const agents = (await readAgents(signal)).filter((agent) => agent.enabled);
      const queue = new LabelQueue(signal, stream);
      await queue.read();
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
  const blind = () => queue.current?.stream === "random";
  let chosen = [];
  let drawn = null;
  const draw = () => {
    if (signal.aborted) return;
    const item = queue.current;
    replace(progress, progressLine(queue, stats));
    // What came in meanwhile is no reason to take the field away in which somebody types.
    if (item !== null && item === drawn) return;
    drawn = item;
    if (item === null) {
      replace(room, nothingLeft(queue, draw));
      return;
    }
    chosen = choices(agents, item);
    replace(room, [blind() ? blindText() : null, itemView(item, chosen, agents, act, blind())]);
    said.textContent = item.query;
  };
  const act = {
    give: (agentId) => queue.label(agentId),
    keep: () => !blind() && queue.current.agent_id !== null && queue.label(queue.current.agent_id),
    skip: () => queue.skip(),
    undo: () => queue.undo(),
  };
  queue.onChange = draw;
  queue.onError = (error, item, undone) => {
    const query = item.query.slice(0, 60);
    notice(
      undone
        ? `The label of “${query}” is still there: ${error.message}`
        : `“${query}” was not saved: ${error.message} It is back in the queue.`,
    );
  };
  document.addEventListener(
    "keydown",
    (event) => {
      if (
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        event.repeat || // a key that is held down labels one question
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
  return [progress, room, said, help(queue.stream === "random")];
}

const blindText = () =>
  h(
    "p",
    { class: "help" },
    "This question was drawn at random and is shown without the router's answer. Labels of such questions measure the accuracy: the others are for hard questions.",
  );

/** The router's answer first, then by name: digits stay where they are while the answer does. */
function choices(agents, item) {
  const others = agents.filter((agent) => agent.id !== item.agent_id);
  const first = agents.find((agent) => agent.id === item.agent_id);
  return (agents.length <= MAX_DIGITS ? agents : [first, ...others].filter(Boolean)).slice(
    0,
    MAX_DIGITS,
  );
}

/** Of a blind item nothing is shown but the question. */
function itemView(item, chosen, agents, act, blind) {
  const others = agents.filter((agent) => !chosen.includes(agent));
  return h(
    "section",
    { class: "card stack label-item" },
    h("p", { class: "label-query" }, item.query),
    blind ? null : answerLines(item, agents),
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
      item.agent_id === null
        ? null
        : button(["Keep the answer ", h("kbd", {}, "Enter")], act.keep, { kind: "main" }),
      button(["Skip ", h("kbd", {}, "S")], act.skip),
      button(["Undo ", h("kbd", {}, "U")], act.undo),
      blind ? null : link("Whole story", address(["logs", item.log_id]), { kind: "plain" }),
    ),
  );
}

function answerLines(item, agents) {
  return [
    h(
      "div",
      { class: "row small" },
      h(
        "span",
        {},
        item.agent_id === null
          ? "No answer was given"
          : [
              "Answered by ",
              h("strong", {}, agentName(agents, item.agent_id)),
              item.confidence === null ? "" : ` with ${percent(item.confidence)}`,
            ],
      ),
      layerBadge(item.layer),
      item.seen > 1 ? badge(`asked ${count(item.seen)} times`) : null,
    ),
    h("p", { class: "help" }, "Why this one: ", item.reasons.map(reasonText).join("; "), "."),
  ];
}

const reasonText = ({ text, key_ids: keys }) =>
  keys.length ? `${text} (given by ${keys.join(", ")})` : text;

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
  const told = h("p", { class: "fault", role: "alert" });
  const pick = (event) => {
    event.preventDefault();
    const words = input.value.trim().toLowerCase();
    if (!words) return;
    const named = ({ id, name }) => id === words || name.toLowerCase() === words;
    const fitting = ({ id, name }) => `${name} ${id}`.toLowerCase().includes(words);
    const found = others.some(named) ? others.filter(named) : others.filter(fitting);
    if (found.length === 1) {
      act.give(found[0].id);
      notice(`Labelled: ${found[0].name}.`);
    } else {
      const names = found.slice(0, 5).map((agent) => agent.name);
      told.textContent = found.length
        ? `${found.length} agents fit: ${names.join(", ")}${found.length > 5 ? ", …" : ""}. Type more.`
        : "No agent is called so.";
    }
  };
  return h(
    "form",
    { class: "field", onsubmit: pick },
    h("label", { for: "other-agent" }, "Another agent ", h("kbd", {}, "/")),
    input,
    list,
    told,
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

/** `draw` shows what has come of another try. */
function nothingLeft(queue, draw) {
  if (queue.filling) return spinner();
  const undo = queue.history.length
    ? button("Undo the last one", () => queue.undo(), { size: "small" })
    : null;
  if (queue.fault) {
    const retry = () => {
      queue.fill().then(draw);
      draw();
    };
    return [errorPanel(queue.fault, retry), undo];
  }
  const skipped = queue.skipped.length;
  if (skipped)
    return empty(
      `${plural(skipped, "question was", "questions were")} skipped`,
      "They still wait for a label.",
      h(
        "div",
        { class: "row" },
        button("Show them again", () => queue.again()),
        undo,
      ),
    );
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
      undo,
    ),
  );
}

const help = (blind) =>
  h(
    "p",
    { class: "help" },
    h("kbd", {}, "1"),
    "–",
    h("kbd", {}, "9"),
    " choose an agent, ",
    h("kbd", {}, "0"),
    " none fits, ",
    blind ? null : [h("kbd", {}, "Enter"), " keeps the router's answer, "],
    h("kbd", {}, "S"),
    " skips, ",
    h("kbd", {}, "U"),
    " undoes.",
  );
