// What the selected classifier makes of questions that are written otherwise.

import { h } from "../dom.js";
import { count, NOTHING, percent } from "../format.js";
import { card } from "../parts/controls.js";
import { table } from "../parts/table.js";

const NAMES = {
  plain: "As they are",
  greeting: "With a greeting",
  signature: "With a signature",
  please: 'With "please"',
  typo: "With typos",
  all: "With all of these",
};

/** Null where it was not measured. */
export function robustnessCard(rows) {
  if (!rows?.length) return null;
  return card(
    "Questions written otherwise",
    h(
      "p",
      { class: "help" },
      `The same ${count(rows[0].n)} questions of the test part, ${count(rows[0].out_of_scope)} of which fit no agent.`,
    ),
    table({
      caption: "Questions written otherwise",
      hideCaption: true,
      rows,
      columns: [
        { head: "Questions", cell: (one) => NAMES[one.perturbation], heading: true },
        { head: "Precision", cell: (one) => percent(one.precision), kind: "number" },
        { head: "Coverage", cell: (one) => percent(one.coverage), kind: "number" },
        {
          head: "Out-of-scope questions answered",
          cell: (one) =>
            one.out_of_scope
              ? `${count(one.false_accepts)} of ${count(one.out_of_scope)}`
              : NOTHING,
          kind: "number",
        },
      ],
    }),
  );
}
