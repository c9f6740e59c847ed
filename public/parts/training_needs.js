// Whether there are enough labels to train a classifier, and what is missing of each agent.

import { api } from "../api.js";
import { h } from "../dom.js";
import { agentLabel, readAgents } from "./agents.js";
import { link } from "./controls.js";
import { load } from "./loading.js";
import { inPageWords } from "./page_words.js";

/** `training` as in GET /v1/datasets/stats. */
export function trainingNeeds({ ready, message, agents, labels_needed_of_each: each }) {
  const missing = agents
    .filter((agent) => agent.missing)
    .map((agent) => `${agentLabel(agent.agent_id)} ${agent.missing}`);
  return h(
    "div",
    { class: "panel", "data-kind": ready ? "good" : "warn" },
    inPageWords(message),
    !ready && missing.length ? ` Missing labels (${each} per agent): ${missing.join(", ")}.` : null,
  );
}

/** The same, read now; with a link to the label queue if there are too few. */
export function currentTrainingNeeds(signal) {
  const container = h("div", {});
  load(
    container,
    () => Promise.all([api("GET", "/v1/datasets/stats", { signal }), readAgents(signal)]),
    ([{ training }]) => [
      trainingNeeds(training),
      training.ready
        ? null
        : h(
            "div",
            { class: "row" },
            link("Label queries", "#/labeling"),
            link("Import labels", "#/datasets"),
          ),
    ],
    { signal },
  );
  return container;
}
