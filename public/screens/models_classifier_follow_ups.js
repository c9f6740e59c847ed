// What the active classifier learned of conversations.

import { h } from "../dom.js";
import { count, NOTHING, percent, plural } from "../format.js";
import { card, facts } from "../parts/controls.js";

/** Null for a classifier from before it was measured. */
export function followUpsCard(report) {
  if (!report) return null;
  const of = (right, all) => (all ? `${percent(right / all)} of ${count(all)}` : NOTHING);
  const learned = report.learned
    ? `Learned from ${plural(report.labels, "label")} and ${plural(report.decisions, "decision")} of models in conversations. The figures are of ${report.basis} that were held out.`
    : `Nothing was learned: ${report.reason}. The agent of the previous turn stays, unless the message alone is sure of another one.`;
  return card(
    "Follow-ups",
    h("p", { class: "help" }, learned),
    report.learned
      ? facts([
          ["Right where the agent stays", of(report.keeping_right, report.keeping)],
          ["Right where it changes", of(report.leaving_right, report.leaving)],
          ["Coverage", percent(report.coverage)],
          ["Precision", percent(report.precision)],
        ])
      : null,
  );
}
