// Labeling: a queue of single queries, labeled by keyboard, or many queries in a table.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, plural } from "../format.js";
import { keyRanges, SUGGESTION_KEYS, withKeys } from "../parts/agent_keys.js";
import { readAgents } from "../parts/agents.js";
import { button, link, progressBar } from "../parts/controls.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { shortcuts } from "../parts/shortcuts.js";
import { openTab } from "../parts/tabbed.js";
import { trainNow } from "../parts/train_now.js";
import { UNSAVED_CHANGED, unsaved } from "../parts/unsaved_labels.js";
import { disagreementsTab } from "./labeling_disagreements.js";
import { labelsTab } from "./labeling_given.js";
import { decisionOf, itemView, suggested } from "./labeling_item.js";
import { LabelQueue } from "./labeling_queue.js";
import { bulkTab } from "./labeling_table.js";

const TEXT = "Choose the correct agent. Labels train the classifier and measure accuracy.";

export const open = (page) =>
  openTab(page, "labeling", "Labeling", TEXT, [
    ["Queue", "", (page, container) => singleTab(page, container, "hard")],
    ["Random sample", "random", (page, container) => singleTab(page, container, "random")],
    ["Bulk", "bulk", bulkTab],
    ["Disagreements", "disagreements", disagreementsTab],
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
  const keyed = withKeys(agents);
  const byKey = new Map(keyed.filter(([key]) => key !== null));
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
    replace(container, itemView(item, keyed, agents, act));
    announced.textContent = item.query;
  };
  const act = {
    label: (agentId) => queue.label(agentId),
    confirm: () => {
      const decided = decisionOf(queue.current, agents);
      if (decided !== undefined) queue.label(decided);
    },
    skip: () => queue.skip(),
    undo: () => queue.undo(),
  };
  queue.onChange = draw;
  const saving = h("p", { class: "help", role: "status" });
  const training = trainNow(agents, signal);
  const showSaving = () => {
    replace(saving, savingText(queue));
    if (!unsaved().logs.length) training.note(queue.done);
  };
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
  const agentKeys = [...byKey.keys()];
  shortcuts(signal, "Labeling", [
    {
      keys: agentKeys,
      shown: keyRanges(agentKeys),
      text: "Label with an agent",
      run: ifShown((key) => act.label(byKey.get(key).id)),
    },
    {
      keys: SUGGESTION_KEYS,
      text: "Label with a suggestion",
      run: ifShown((key) => {
        const id = suggested(queue.current, key, agents);
        return id === undefined ? false : act.label(id);
      }),
    },
    { keys: ["0"], text: "Label as out of scope", run: ifShown(() => act.label(null)) },
    { keys: ["Enter"], text: "Confirm the router's decision", run: ifShown(act.confirm) },
    { keys: ["s"], text: "Skip", run: ifShown(act.skip) },
    { keys: ["u"], text: "Undo", run: act.undo },
    {
      keys: ["/"],
      text: "Find an agent",
      run: ifShown(() => container.querySelector("input[type=search]")?.focus()),
    },
  ]);
  draw();
  showSaving();
  return [
    progress,
    training.element,
    saving,
    container,
    announced,
    help(agentKeys, queue.stream === "random"),
  ];
}

/** Whether the labels are saved; empty before the first one. */
function savingText(queue) {
  const { logs, problem } = unsaved();
  if (problem && logs.length)
    return `${plural(logs.length, "label is", "labels are")} not saved yet: ${problem.message} EdgeNeuro tries again.`;
  if (logs.length) return `Saving ${plural(logs.length, "label")} …`;
  return queue.done ? "All labels are saved." : "";
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

/** `keys` are those of agents. */
const help = (keys, blind) =>
  h(
    "p",
    { class: "help" },
    keyRanges(keys).map((range, place) => [place ? ", " : null, h("kbd", {}, range)]),
    " select an agent, ",
    h("kbd", {}, "0"),
    " none (out of scope), ",
    blind
      ? null
      : [
          SUGGESTION_KEYS.map((key) => [h("kbd", {}, key.toUpperCase()), " "]),
          "a suggestion, ",
          h("kbd", {}, "Enter"),
          " confirm the router's decision, ",
        ],
    h("kbd", {}, "S"),
    " skip, ",
    h("kbd", {}, "U"),
    " undo.",
  );
