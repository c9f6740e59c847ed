// Learning by itself: what a classifier would have answered, how often it agrees, and the next step.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, percent, plural, time, usd } from "../format.js";
import { actionButton, badge, facts } from "./controls.js";
import { notice } from "./notice.js";
import { inPageWords } from "./page_words.js";

const STATES = {
  off: ["off", undefined],
  collecting: ["collecting", undefined],
  training: ["training", "accent"],
  observing: ["observing", "accent"],
  enabled: ["enabled", "good"],
  disabled: ["disabled", "bad"],
};
// What the button of a next step says. Steps without a request have none.
const ACTIONS = {
  turn_on: "Observe",
  enable: "Enable",
  agreement_fell: "Deselect the classifier",
  not_passed: "Select it all the same",
  no_audit_samples: "Take audit samples",
};
const DONE = {
  turn_on: "The router observes.",
  enable: "Learning is on.",
  agreement_fell: "The classifier is deselected.",
  not_passed: "The classifier is selected.",
  no_audit_samples: "Audit samples are taken.",
};

export const readLearning = (signal) => api("GET", "/v1/learning", { signal });

/** `onChange` runs after a button has changed something. */
export function learningView(report, { may, onChange }) {
  const [state, kind] = STATES[report.state];
  const step = report.next_step;
  return [
    h("p", {}, badge(state, kind), " ", inPageWords(report.sentence)),
    step.text !== report.sentence && step.code !== "none"
      ? h("p", { class: "help" }, inPageWords(step.text))
      : null,
    facts([
      ["Would have answered", shareOf(report.would_have_answered)],
      [agreementName(report.agreement), agreement(report.agreement)],
      ["Audit samples", watched(report.watch)],
      ["Saved a month (estimate)", saved(report.savings)],
      ["Labels", report.labels ? count(report.labels) : null],
      ["Machine labels", report.machine_labels ? count(report.machine_labels) : null],
      ["Disabled at", report.disabled ? time(report.disabled.at) : null],
    ]),
    step.path && may("admin")
      ? h(
          "div",
          { class: "row" },
          actionButton(
            ACTIONS[step.code],
            async () => {
              await api(step.method, step.path, { body: step.body });
              notice(DONE[step.code]);
              await onChange();
            },
            { kind: "main" },
          ),
        )
      : null,
  ];
}

const shareOf = (observed) =>
  observed?.n ? `${percent(observed.share)} of ${plural(observed.n, "decision")}` : null;

const agreementName = (found) =>
  found?.basis === "human labels" ? "Precision on labels" : capital(found?.basis ?? "agreement");

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function agreement(found) {
  if (!found) return null;
  return `${percent(found.share)} (${percent(found.low)} to ${percent(found.high)}, ${plural(found.n, "answer")})`;
}

function watched(watch) {
  if (!watch) return null;
  const share = watch.samples ? `, ${percent(watch.agreed / watch.samples)} agree` : "";
  return `${plural(watch.samples, "sample")}${share}; at least ${percent(watch.bound)} should`;
}

const saved = (savings) =>
  savings && savings.cost_usd_a_month !== null ? usd(savings.cost_usd_a_month) : null;
