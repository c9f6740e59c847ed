// Whether the labels that were given are worth a training, and the button that starts it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { ago, count, percent, plural } from "../format.js";
import { session } from "../session.js";
import { agentName } from "./agents.js";
import { actionButton, link } from "./controls.js";
import { cancelButton, followJob, isActive } from "./job.js";
import { notice } from "./notice.js";

const STEP = 10; // labels after which it is read again
const NAMED = 5; // agents that miss labels

/** `note(given)` takes how many labels this page has given and saved so far. */
export function trainNow(agents, signal) {
  const element = h("div", { "aria-live": "off" });
  let read = 0; // labels that were given when it was read last
  let next = null;
  let following = false;
  const show = async () => {
    try {
      next = await api("GET", "/v1/labels/training", { signal });
    } catch (error) {
      if (error.name !== "AbortError") replace(element); // labeling goes on without it
      return;
    }
    if (signal.aborted || following) return;
    if (next.running) follow(next.running);
    else replace(element, waitingView(next, agents, start));
  };
  const follow = (id) => {
    following = true;
    followJob(element, `/v1/classifiers/${id}`, jobView, { signal });
  };
  const start = async () => {
    const idempotencyKey = crypto.randomUUID();
    const { id } = await api("POST", "/v1/classifiers", { body: {}, idempotencyKey });
    notice("Training started.");
    follow(id);
  };
  const note = (given) => {
    const missing = next && next.new_labels < next.wanted ? next.wanted - next.new_labels : STEP;
    if (following || Math.abs(given - read) < Math.min(STEP, missing)) return;
    read = given;
    show();
  };
  show();
  return { element, note };
}

function waitingView({ new_labels: labels, wanted, due, trained_at: at, training }, agents, start) {
  const since = at ? " since the last training" : "";
  if (due && session.may("admin"))
    return h(
      "div",
      { class: "row" },
      actionButton(`Train now: ${count(labels)} new`, start, { kind: "main", size: "small" }),
      h(
        "span",
        { class: "help" },
        at ? `The last training was ${ago(at)}.` : "No classifier was trained yet.",
      ),
    );
  return h("p", { class: "help" }, whatIsMissing({ labels, wanted, due, since, training }, agents));
}

function whatIsMissing({ labels, wanted, due, since, training }, agents) {
  if (due)
    return `${plural(labels, "new label")}${since}: an administrator can train a classifier now.`;
  if (training.ready)
    return `${plural(labels, "new label")}${since}; ${plural(wanted - labels, "more makes", "more make")} a training worth it.`;
  const each = training.labels_needed_of_each;
  const missing = training.agents
    .filter((one) => one.missing)
    .sort((one, other) => one.missing - other.missing);
  const named = missing
    .slice(0, NAMED)
    .map((one) => `${agentName(agents, one.agent_id)} ${count(one.missing)}`);
  const others = missing.length - named.length;
  return `Too few labels to train a classifier: two agents need ${plural(each, "label")} each. Missing: ${named.join(", ")}${others ? ` and ${plural(others, "other agent")}` : ""}.`;
}

function jobView(one, follow) {
  if (isActive(one.state))
    return h(
      "div",
      { class: "row" },
      h(
        "span",
        { role: "status" },
        one.progress.stage === "labels"
          ? "A training is reading the labels."
          : `A classifier is being trained: ${plural(one.progress.visits, "step")}.`,
      ),
      session.may("admin")
        ? cancelButton(`/v1/classifiers/${one.id}`, follow, { size: "small" })
        : null,
    );
  return h(
    "div",
    { class: "row" },
    h("span", { role: "status" }, resultText(one)),
    link("Open the classifiers", "#/models/classifier"),
  );
}

function resultText({ state, error, test_score: score }) {
  if (state === "cancelled") return "The training was cancelled.";
  if (state !== "succeeded") return `The training failed: ${error}`;
  const measured = score?.answered ? ` Precision on test labels: ${percent(score.precision)}.` : "";
  return `The classifier is trained.${measured}`;
}
