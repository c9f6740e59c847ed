// Robustness of the active classifier: the test split with greetings, signatures and typos.

import { h } from "../dom.js";
import { count, NOTHING, percent } from "../format.js";
import { card } from "../parts/controls.js";
import { table } from "../parts/table.js";

const NAMES = {
  plain: "Unchanged",
  greeting: "With a greeting",
  signature: "With a signature",
  please: 'With "please"',
  typo: "With typos",
  all: "With all of these",
};

/** Null if it was not measured. */
export function robustnessCard(rows) {
  if (!rows?.length) return null;
  return card(
    "Robustness",
    h(
      "p",
      { class: "help" },
      `The ${count(rows[0].n)} queries of the test split, ${count(rows[0].out_of_scope)} of them out of scope, written differently.`,
    ),
    table({
      caption: "Robustness",
      hideCaption: true,
      rows,
      columns: [
        { head: "Variant", cell: (one) => NAMES[one.perturbation], heading: true },
        { head: "Precision", cell: (one) => percent(one.precision), kind: "number" },
        { head: "Coverage", cell: (one) => percent(one.coverage), kind: "number" },
        {
          head: "Out-of-scope false accepts",
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
