// Filters of a screen; their state is in the address.

import { h, replace } from "../dom.js";
import { saveState } from "../router.js";
import { button } from "./controls.js";
import { field } from "./form.js";

const TYPING_MS = 300;

/**
 * A row of fields for the address `parts`, with the values of its `query`. `show(state)` is called now
 * and on every change; for a `live` field also while the user types. `visible(state)` returns the names
 * of the fields to show, null for all. Ends with `signal`.
 */
export const filters = (options) => filterBar(options).element;

/**
 * The same with `chips`, a list of the filters in force that removes each of them, `set(state)`, which
 * fills all fields, and `state()`. Fields with `more` are in a part that opens. The address also holds
 * what `held()` returns. A field's chip has its label and `chip(value, state)`, by default the text of
 * the field; null is no chip. Removing it also empties the fields that it `clears`. A select that
 * `keeps` takes values that are no option, such as a deleted agent.
 */
export function filterBar({
  parts,
  specs,
  query,
  show,
  signal,
  visible = () => null,
  held = () => ({}),
}) {
  const fields = specs.map((spec) =>
    field(withGone({ ...spec, value: query.get(spec.name) ?? spec.value })),
  );
  for (const each of fields) each.element.classList.toggle("grow", each.spec.live ?? false);
  let [shown, current, typing] = [null, {}, null];
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
    current = state;
    saveState(parts, { ...state, ...held() });
    showChips();
    show(state);
  };
  const set = (state) => {
    for (const each of fields) fill(each, state[each.spec.name] ?? specOf(each).value ?? null);
    run();
  };
  const specOf = (each) => specs[fields.indexOf(each)];
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Filters in force" });
  const showChips = () => {
    const focused = chips.contains(document.activeElement);
    const active = fields
      .filter((each) => current[each.spec.name] !== (specOf(each).value ?? null))
      .map((each) => [each, chipText(each, current)])
      .filter(([, text]) => text !== null);
    const without = ({ spec }) =>
      set({ ...current, ...emptied([spec.name, ...(spec.clears ?? [])]) });
    replace(
      chips,
      active.map(([each, text]) => chip(`${each.spec.label}: ${text}`, () => without(each))),
      active.length
        ? button("Clear all", () => set({}), { kind: "plain", size: "small", name: "clear" })
        : null,
    );
    chips.hidden = !active.length;
    if (focused) (chips.querySelector("button") ?? fields[0]).focus();
  };
  const hidden = fields.filter((each) => each.spec.more);
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
    fields.filter((each) => !each.spec.more).map((each) => each.element),
    hidden.length
      ? h(
          "details",
          { class: "more-filters" },
          h("summary", {}, "More filters"),
          h(
            "div",
            { class: "filters" },
            hidden.map((each) => each.element),
          ),
        )
      : null,
  );
  run();
  return { element, chips, set, state: () => current };
}

/** States with the same text have the same filters. */
export const stateText = (state) =>
  JSON.stringify(
    Object.entries(state)
      .filter(([, value]) => value !== null && value !== "")
      .map(([name, value]) => [name, String(value)])
      .sort(),
  );

const emptied = (names) => Object.fromEntries(names.map((name) => [name, null]));

const chip = (text, remove) =>
  h(
    "button",
    { class: "chip", type: "button", onclick: remove },
    h("span", { class: "hidden-text" }, "Remove the filter "),
    h("span", { class: "wrap" }, text),
    h("span", { "aria-hidden": "true" }, "×"),
  );

function chipText({ spec }, state) {
  const value = state[spec.name];
  if (spec.chip) return spec.chip(value, state);
  return spec.options?.find(([option]) => option === value)?.[1] ?? value;
}

function withGone(spec) {
  const gone = spec.keeps && spec.value && !spec.options.some(([option]) => option === spec.value);
  return gone ? { ...spec, options: [...spec.options, [spec.value, spec.value]] } : spec;
}

function fill({ element, spec }, value) {
  const control = element.querySelector(`[name="${spec.name}"]`);
  control.value = value ?? "";
  if (spec.type !== "select" || control.value === (value ?? "")) return;
  if (spec.keeps) control.append(h("option", { value }, value));
  control.value = spec.keeps ? value : "";
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
