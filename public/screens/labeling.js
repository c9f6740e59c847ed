// Labeling: a queue of single queries, labeled by keyboard, or many queries in a table.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, plural, words } from "../format.js";
import { agentName, OUT_OF_SCOPE, readAgents } from "../parts/agents.js";
import { previousTurn } from "../parts/context.js";
import { badge, button, link, progressBar } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { shortcuts } from "../parts/shortcuts.js";
import { openTab } from "../parts/tabbed.js";
import { UNSAVED_CHANGED, unsaved } from "../parts/unsaved_labels.js";
import { address } from "../router.js";
import { labelsTab } from "./labeling_given.js";
import { LabelQueue } from "./labeling_queue.js";
import { bulkTab } from "./labeling_table.js";

const DIGITS = [..."123456789"];

const TEXT = "Choose the correct agent. Labels train the classifier and measure accuracy.";

export const open = (page) =>
  openTab(page, "labeling", "Labeling", TEXT, [
    ["Queue", "", (page, container) => singleTab(page, container, "hard")],
    ["Random sample", "random", (page, container) => singleTab(page, container, "random")],
    ["Bulk", "bulk", bulkTab],
    ["All labels", "labels", labelsTab],
  ]);

async function singleTab({ signal }, container, stream) {
  await load(
    container,
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
  const container = h("div", { class: "stack" });
  const progress = h("div", { "aria-live": "off" });
  const announced = h("p", { class: "hidden-text", role: "status" });
  const blind = () => queue.current?.stream === "random";
  const chosen = agents.slice(0, DIGITS.length); // an agent's digit is the same for every query
  let drawn = null;
  const draw = () => {
    if (signal.aborted) return;
    const item = queue.current;
    replace(progress, progressLine(queue, stats));
    // New items do not redraw the current one: the user may be typing in its field.
    if (item !== null && item === drawn) return;
    drawn = item;
    if (item === null) {
      replace(container, endOfQueue(queue, draw));
      return;
    }
    replace(container, [
      blind() ? blindText() : null,
      itemView(item, chosen, agents, act, blind()),
    ]);
    announced.textContent = item.query;
  };
  const act = {
    label: (agentId) => queue.label(agentId),
    confirm: () => {
      const decided = decisionOf(queue.current);
      if (decided !== undefined) queue.label(decided);
    },
    skip: () => queue.skip(),
    undo: () => queue.undo(),
  };
  queue.onChange = draw;
  const saving = h("p", { class: "help", role: "status" });
  const showSaving = () => replace(saving, savingText(queue));
  window.addEventListener(UNSAVED_CHANGED, showSaving, { signal });
  queue.onError = (error, item, undone) => {
    const query = item.query.slice(0, 60);
    notice(
      undone
        ? `The label of “${query}” was not removed: ${error.message}`
        : `The label of “${query}” was not saved: ${error.message} The query is back in the queue.`,
    );
  };
  const ifShown = (run) => (key) => (queue.current ? run(key) : false);
  shortcuts(signal, "Labeling", [
    {
      keys: DIGITS,
      shown: "1 to 9",
      text: "Label with an agent",
      run: ifShown((key) => (chosen[key - 1] ? act.label(chosen[key - 1].id) : false)),
    },
    { keys: ["0"], text: "Label as out of scope", run: ifShown(() => act.label(null)) },
    { keys: ["Enter"], text: "Confirm the router's decision", run: ifShown(act.confirm) },
    { keys: ["s"], text: "Skip", run: ifShown(act.skip) },
    { keys: ["u"], text: "Undo", run: act.undo },
    {
      keys: ["/"],
      text: "Find an agent",
      run: ifShown(() => container.querySelector("input")?.focus()),
    },
  ]);
  draw();
  showSaving();
  return [progress, saving, container, announced, help(queue.stream === "random")];
}

/** Whether the labels are saved; empty before the first one. */
function savingText(queue) {
  const { logs, problem } = unsaved();
  if (problem && logs.length)
    return `${plural(logs.length, "label is", "labels are")} not saved yet: ${problem.message} EdgeNeuro tries again.`;
  if (logs.length) return `Saving ${plural(logs.length, "label")} …`;
  return queue.done ? "All labels are saved." : "";
}

const blindText = () =>
  h(
    "p",
    { class: "help" },
    "Random sample, shown without the router's decision: these labels measure accuracy.",
  );

/** The agent that the router decided on, null if it found that none fits; undefined: it did not decide. */
function decisionOf({ stream, agent_id, layer, reason }) {
  if (stream === "random") return undefined; // shown blind
  if (reason === "out_of_scope") return null;
  return layer === "fallback" || agent_id === null ? undefined : agent_id;
}

/** A blind item shows only the query and the turn before it. */
function itemView(item, chosen, agents, act, blind) {
  const decided = decisionOf(item);
  const routed = (id) => (id === decided ? badge("routed", "accent") : null);
  return h(
    "section",
    { class: "card stack label-item" },
    previousTurn(item, agents),
    h("p", { class: "label-query" }, item.query),
    blind ? null : decisionLines(item, agents),
    h(
      "div",
      { class: "choices", role: "group", "aria-label": "Agents" },
      chosen.map((agent, index) =>
        h(
          "button",
          {
            class: "button choice",
            type: "button",
            "data-decided": agent.id === decided ? "true" : null,
            title: agent.description,
            onclick: () => act.label(agent.id),
          },
          h("kbd", {}, index + 1),
          h("span", { class: "wrap" }, agent.name),
          routed(agent.id),
        ),
      ),
      h(
        "button",
        { class: "button choice", type: "button", onclick: () => act.label(null) },
        h("kbd", {}, "0"),
        OUT_OF_SCOPE,
        routed(null),
      ),
    ),
    agents.length > chosen.length ? agentSearch(agents, act) : null,
    h(
      "div",
      { class: "row" },
      item.agent_id === null
        ? null
        : button(["Confirm ", h("kbd", {}, "Enter")], act.confirm, { kind: "main" }),
      button(["Skip ", h("kbd", {}, "S")], act.skip),
      button(["Undo ", h("kbd", {}, "U")], act.undo),
      blind ? null : link("Open trace", address(["logs", item.log_id]), { kind: "plain" }),
    ),
  );
}

function decisionLines(item, agents) {
  return [
    h(
      "div",
      { class: "row small" },
      h("span", {}, decisionText(item, agents)),
      layerBadge(item.layer),
      item.seen > 1 ? badge(`${count(item.seen)} requests`) : null,
    ),
    h("p", { class: "help" }, "Queued because: ", item.reasons.map(reasonText).join("; "), "."),
  ];
}

function decisionText({ agent_id, layer, reason, unsure_agent, confidence }, agents) {
  const agent = h("strong", {}, agentName(agents, agent_id));
  if (layer === "fallback" || agent_id === null) {
    const found = unsure_agent
      ? `Not confident enough of ${agentName(agents, unsure_agent)}`
      : reason === "out_of_scope"
        ? "No agent fits"
        : `No decision: ${words(reason)}`;
    return [found, agent_id === null ? "" : ["; routed to the fallback ", agent]];
  }
  return ["Routed to ", agent, confidence === null ? "" : `, confidence ${percent(confidence)}`];
}

const reasonText = ({ text, key_ids: keys }) =>
  keys.length ? `${text} (by ${keys.join(", ")})` : text;

/** With more than nine agents: a field to find one by its name. */
function agentSearch(agents, act) {
  const list = h(
    "datalist",
    { id: "other-agents" },
    agents.map((agent) => h("option", { value: agent.name })),
  );
  const input = h("input", {
    id: "other-agent",
    list: "other-agents",
    autocomplete: "off",
    placeholder: "Type part of the name, then press Enter",
  });
  const message = h("p", { class: "error", role: "alert" });
  const pick = (event) => {
    event.preventDefault();
    const words = input.value.trim().toLowerCase();
    if (!words) return;
    const named = ({ id, name }) => id === words || name.toLowerCase() === words;
    const matching = ({ id, name }) => `${name} ${id}`.toLowerCase().includes(words);
    const found = agents.some(named) ? agents.filter(named) : agents.filter(matching);
    if (found.length === 1) {
      act.label(found[0].id);
      notice(`Label saved: ${found[0].name}.`);
    } else {
      const names = found.slice(0, 5).map((agent) => agent.name);
      message.textContent = found.length
        ? `${found.length} agents match: ${names.join(", ")}${found.length > 5 ? ", …" : ""}. Type more.`
        : "No agent matches.";
    }
  };
  return h(
    "form",
    { class: "field", onsubmit: pick },
    h("label", { for: "other-agent" }, "Other agent ", h("kbd", {}, "/")),
    input,
    list,
    message,
  );
}

function progressLine(queue, stats) {
  const rest = queue.rest;
  const all = queue.done + rest;
  return progressBar(
    `${count(queue.done)} this session · ${count(rest)}${queue.complete ? "" : "+"} in queue · ${count(stats.labels + queue.done)} total`,
    all ? queue.done / all : 0,
  );
}

/** The end of the queue; `draw` shows the result of a retry. */
function endOfQueue(queue, draw) {
  if (queue.filling) return spinner();
  const undo = queue.history.length
    ? button("Undo last", () => queue.undo(), { size: "small" })
    : null;
  if (queue.error) {
    const retry = () => {
      queue.fill().then(draw);
      draw();
    };
    return [errorPanel(queue.error, retry), undo];
  }
  const skipped = queue.skipped.length;
  if (skipped)
    return empty(
      `${plural(skipped, "query was", "queries were")} skipped`,
      "They are still in the queue.",
      h(
        "div",
        { class: "row" },
        button("Show them again", () => queue.requeueSkipped()),
        undo,
      ),
    );
  return empty(
    queue.done ? "Queue finished" : "The queue is empty",
    queue.done
      ? "Train a classifier with the labels, or export them to train an adapter."
      : "Routed queries appear here, the most useful ones first.",
    h(
      "div",
      { class: "row" },
      link("Train a classifier", "#/models/classifier"),
      link("Export labels", "#/datasets"),
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
    " select an agent, ",
    h("kbd", {}, "0"),
    " none (out of scope), ",
    blind ? null : [h("kbd", {}, "Enter"), " confirm the router's decision, "],
    h("kbd", {}, "S"),
    " skip, ",
    h("kbd", {}, "U"),
    " undo.",
  );
