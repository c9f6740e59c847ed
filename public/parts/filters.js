// Filters of a screen; their state is in the address.

import { h } from "../dom.js";
import { saveState } from "../router.js";
import { field } from "./form.js";

const TYPING_MS = 300;

/**
 * A row of fields for the address `parts`, with the values of its `query`. `show(state)` is called now
 * and on every change; for a `live` field also while the user types. `visible(state)` returns the names
 * of the fields to show, null for all. Ends with `signal`.
 */
export function filters({ parts, specs, query, show, signal, visible = () => null }) {
  const fields = specs.map((spec) => field({ ...spec, value: query.get(spec.name) ?? spec.value }));
  for (const each of fields) each.element.classList.toggle("grow", each.spec.live ?? false);
  const run = () => {
    const state = Object.fromEntries(fields.map((each) => [each.spec.name, each.value()]));
    if (signal.aborted || fields.some((each) => showError(each))) return;
    const names = visible(state);
    for (const each of fields) {
      const hidden = names !== null && !names.includes(each.spec.name);
      each.element.hidden = hidden;
      if (hidden) state[each.spec.name] = null;
    }
    const text = JSON.stringify(state);
    if (text === shown) return; // leaving a field fires another change event
    shown = text;
    saveState(parts, state);
    show(state);
  };
  let shown = null;
  let typing;
  const element = h(
    "form",
    {
      class: "filters",
      onchange: run,
      onsubmit: (event) => {
        event.preventDefault();
        run();
      },
      oninput: (event) => {
        clearTimeout(typing);
        const typed = fields.find((each) => each.spec.name === event.target.name);
        if (typed?.spec.live) typing = setTimeout(run, TYPING_MS);
      },
    },
    fields.map((each) => each.element),
  );
  run();
  return element;
}

/** Shows a field's validation error; returns whether there is one. */
function showError(each) {
  const message = each.element.hidden ? null : each.validate();
  each.show(message);
  return message !== null;
}

/** Options of a select from codes, after the options `first`. */
export const choices = (codes, write, ...first) => [
  ...first,
  ...codes.map((code) => [code, write(code)]),
];
