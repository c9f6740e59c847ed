// Filters of a screen, whose state is in its address.

import { h } from "../dom.js";
import { noteState } from "../router.js";
import { field } from "./form.js";

const TYPING_MS = 300;

/**
 * A row of fields for the place `parts`, as the address's `query` has them. `show(state)` is called
 * now, on every change, and for a field that is `live` while it is typed into. `seen(state)` names
 * those that are of use; null: all of them. Until `signal` ends it.
 */
export function filters({ parts, specs, query, show, signal, seen = () => null }) {
  const fields = specs.map((spec) => field({ ...spec, value: query.get(spec.name) ?? spec.value }));
  for (const each of fields) each.element.classList.toggle("grow", each.spec.live ?? false);
  const run = () => {
    const state = Object.fromEntries(fields.map((each) => [each.spec.name, each.value()]));
    if (signal.aborted || fields.some((each) => tell(each))) return;
    const names = seen(state);
    for (const each of fields) {
      const hidden = names !== null && !names.includes(each.spec.name);
      each.element.hidden = hidden;
      if (hidden) state[each.spec.name] = null;
    }
    const text = JSON.stringify(state);
    if (text === shown) return; // a field that is left says again what was typed
    shown = text;
    noteState(parts, state);
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

/** Shows what is wrong with a field; whether there is anything. */
function tell(each) {
  const fault = each.element.hidden ? null : each.fault();
  each.show(fault);
  return fault !== null;
}

/** The options of a select out of codes, with `first` before them. */
export const choices = (codes, write, ...first) => [
  ...first,
  ...codes.map((code) => [code, write(code)]),
];
