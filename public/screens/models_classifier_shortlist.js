// How many of the active classifier's best agents a model is offered.

import { h } from "../dom.js";
import { count, percent } from "../format.js";
import { card, facts } from "../parts/controls.js";

/** Null for a classifier from before it was measured. */
export function shortlistCard(report) {
  if (!report) return null;
  const text =
    report.agents === null
      ? `Models are offered all agents: ${report.reason}.`
      : `Models are offered the best ${report.agents} agents first, and all of them if none fits.`;
  return card(
    "Agents offered to models",
    h("p", { class: "help" }, text),
    report.held_out
      ? facts([
          ...report.recalls.map(({ agents, recall, low }) => [
            `Right agent among the best ${agents}`,
            `${percent(recall, 2)}, at least ${percent(low, 2)}`,
          ]),
          ["Held-out questions", `${count(report.held_out)}, ${report.basis}`],
          ["Always offered", report.always.length ? report.always.join(", ") : "none"],
        ])
      : null,
  );
}
