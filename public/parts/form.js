// Forms built from a list of fields. An API error is shown at the field that it names. Input stays
// until it is saved.

import { h, newId, replace } from "../dom.js";
import { setBusy } from "./busy.js";
import { openDialog } from "./dialog.js";
import { idText } from "./ids.js";
import { errorPanel } from "./loading.js";
import { notice } from "./notice.js";
import { watchInput } from "./unsaved.js";

/**
 * A field is {name, label, type, value, help, required, options, disabled, rows, min, max, step,
 * pattern with patternHelp, placeholder, autocomplete, param}; `param` is the path of the API's field if
 * it is not the name. Types: text, password, number, textarea, lines
 * (a list, one per line), range (a slider with its value, which `format` writes), checkbox, checks (several of `options`), select, datetime-local. The value of
 * an empty text or number is null.
 */
export function field(spec) {
  const id = newId("field");
  const error = h("p", { class: "error", id: `${id}-error`, hidden: true });
  const help = spec.help ? h("p", { class: "help", id: `${id}-help` }, spec.help) : null;
  const control = CONTROLS[spec.type ?? "text"]?.(id, spec) ?? input(id, spec);
  const { element, focus, value } = control;
  const described = [help ? `${id}-help` : null, `${id}-error`].filter(Boolean).join(" ");
  focus.setAttribute("aria-describedby", described);
  const label = control.group
    ? h("span", { class: "label", id: `${id}-label` }, spec.label)
    : h("label", { for: id }, spec.label);
  const frame =
    spec.type === "checkbox"
      ? h("div", { class: "field" }, h("div", { class: "check" }, element, label), help, error)
      : h("div", { class: "field" }, label, element, help, error);
  return {
    element: frame,
    spec,
    value,
    focus: () => focus.focus(),
    /** The validation error, or null. Input that the browser cannot parse has an empty value. */
    validate() {
      if (spec.required && isEmpty(value())) return `${spec.label} is required.`;
      if (focus.validity?.patternMismatch) return spec.patternHelp;
      return focus.validationMessage || null;
    },
    show(message) {
      // The message is shown at the field: the field's API name is redundant.
      error.textContent = message?.replace(new RegExp(`^${spec.param ?? spec.name}: `), "") ?? "";
      error.hidden = !message;
      if (message) focus.setAttribute("aria-invalid", "true");
      else focus.removeAttribute("aria-invalid");
    },
  };
}

function input(id, spec) {
  const element = h("input", {
    id,
    ...shared(spec),
    type: spec.type ?? "text",
    value: spec.value ?? "",
  });
  const number = spec.type === "number";
  return {
    element,
    focus: element,
    value() {
      const text = element.value.trim();
      if (text === "") return null;
      if (number) return Number(text);
      return spec.type === "password" ? element.value : text;
    },
  };
}

function shared({
  name,
  required,
  disabled,
  min,
  max,
  step,
  pattern,
  placeholder,
  autocomplete,
  maxlength,
}) {
  return {
    name,
    disabled,
    min,
    max,
    step,
    pattern,
    placeholder,
    maxlength,
    autocomplete: autocomplete ?? "off",
    "aria-required": required ? "true" : null,
  };
}

const CONTROLS = {
  textarea(id, spec) {
    const element = h("textarea", {
      id,
      ...shared(spec),
      rows: spec.rows ?? 4,
      value: spec.value ?? "",
    });
    return {
      element,
      focus: element,
      value: () => (element.value.trim() === "" ? null : element.value),
    };
  },
  lines(id, spec) {
    const element = h("textarea", {
      id,
      ...shared(spec),
      rows: spec.rows ?? 5,
      value: (spec.value ?? []).join("\n"),
    });
    return { element, focus: element, value: () => shownLines([element.value]) };
  },
  range(id, spec) {
    const shown = h("output", { for: id, class: "number" });
    const show = () => {
      const text = spec.format?.(Number(element.value));
      shown.textContent = text ?? element.value;
      if (text) element.setAttribute("aria-valuetext", text);
    };
    const element = h("input", { id, ...shared(spec), type: "range", oninput: show });
    element.value = spec.value; // once it has its bounds and its step
    show();
    const frame = h("div", { class: "slider" }, element, shown);
    return { element: frame, focus: element, value: () => Number(element.value) };
  },
  checkbox(id, spec) {
    const element = h("input", {
      id,
      name: spec.name,
      type: "checkbox",
      checked: spec.value ?? false,
      disabled: spec.disabled,
    });
    return { element, focus: element, value: () => element.checked };
  },
  checks(id, spec) {
    const boxes = spec.options.map(([value, label]) => {
      const box = h("input", {
        id: newId("check"),
        type: "checkbox",
        name: spec.name,
        checked: (spec.value ?? []).includes(value),
      });
      box.choice = value;
      return [box, h("div", { class: "check" }, box, h("label", { for: box.id }, label))];
    });
    const element = h(
      "div",
      { class: "checks", role: "group", "aria-labelledby": `${id}-label`, tabindex: "-1" },
      boxes.map(([, frame]) => frame),
    );
    const value = () => boxes.filter(([box]) => box.checked).map(([box]) => box.choice);
    return { element, focus: element, value, group: true };
  },
  select(id, spec) {
    const element = h(
      "select",
      { id, name: spec.name, disabled: spec.disabled },
      spec.options.map(([value, label]) =>
        h("option", { value: value ?? "", selected: (spec.value ?? "") === (value ?? "") }, label),
      ),
    );
    return { element, focus: element, value: () => (element.value === "" ? null : element.value) };
  },
};

/**
 * The fields' values by name. If a field is not valid, it shows why and an AbortError is thrown.
 */
export function read(fields) {
  for (const each of fields) each.show(null);
  const invalid = fields.find((each) => !each.element.hidden && each.validate() !== null);
  if (invalid) {
    invalid.show(invalid.validate());
    invalid.focus();
    throw new DOMException("A field is not valid.", "AbortError");
  }
  return Object.fromEntries(fields.map((each) => [each.spec.name, each.value()]));
}

/** The field that an error names. */
export const fieldOf = (all, error) =>
  error.param
    ? all.find(({ spec }) =>
        spec.param
          ? error.param.startsWith(spec.param)
          : error.param.split(/[.[]/)[0] === spec.name,
      )
    : null;

/**
 * `onSubmit(values, idempotencyKey)` gets the fields' values; the key stays the same while the same
 * values are sent again. `onCancel` adds a cancel button. `after(fields)` returns what is shown after
 * the fields. Leaving the page asks first if there is other input than at the beginning, unless the form is
 * not `guarded`.
 */
export function form({
  fields,
  action,
  onSubmit,
  onCancel,
  before = null,
  after = () => null,
  guarded = true,
}) {
  const all = fields.map(field);
  const errorBox = h("div", {});
  const submit = h("button", { class: "button", "data-kind": "main" }, action);
  let sent = { values: null, key: null };
  const element = h(
    "form",
    { class: "form", novalidate: true },
    before,
    all.map((each) => each.element),
    after(all),
    errorBox,
    h(
      "div",
      { class: "form-actions" },
      onCancel
        ? h("button", { class: "button", type: "button", onclick: onCancel }, "Cancel")
        : null,
      submit,
    ),
  );
  const inputSaved = guarded
    ? watchInput(element, () => all.map((each) => each.value()))
    : () => {};
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    replace(errorBox);
    try {
      const values = read(all);
      const text = JSON.stringify(values);
      if (sent.values !== text) sent = { values: text, key: crypto.randomUUID() };
      setBusy(submit, true);
      await onSubmit(values, sent.key);
      inputSaved();
      sent = { values: null, key: null };
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status !== 0) sent = { values: null, key: null }; // there was a response
      const invalid = fieldOf(all, error);
      if (invalid) {
        invalid.show(error.message);
        invalid.focus();
        if (error.requestId)
          replace(errorBox, h("p", { class: "help" }, "Request ", idText(error.requestId)));
      } else replace(errorBox, errorPanel(error));
      if (error.status === undefined) throw error; // a bug: show it in the console too
    } finally {
      setBusy(submit, false);
    }
  });
  return element;
}

/** The non-empty lines of these texts, trimmed, as a `lines` field returns them. */
export const shownLines = (texts) =>
  texts.flatMap((text) => text.split("\n").map((line) => line.trim())).filter(Boolean);

/** The `values` that differ from `before`, so that a save does not undo the changes of others. */
export const changed = (values, before) =>
  Object.fromEntries(
    Object.entries(values).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]),
    ),
  );

const isEmpty = (value) => value === null || (Array.isArray(value) && value.length === 0);

/** A form in a dialog; resolves to the result of `onSubmit`, or undefined if cancelled. */
export function formDialog({ title, before, after, fields, action = "Save", onSubmit }) {
  return new Promise((resolve) => {
    let result;
    let typed = false;
    const dialog = openDialog({
      title,
      body: form({
        before,
        after,
        fields,
        action,
        onCancel: () => dialog.cancel(),
        async onSubmit(values, idempotencyKey) {
          result = (await onSubmit(values, idempotencyKey)) ?? true;
          dialog.close();
        },
      }),
      onClose: () => resolve(result),
    });
    dialog.element.addEventListener("input", () => {
      typed = true;
    });
    dialog.element.addEventListener("cancel", (event) => {
      if (!typed || event.defaultPrevented) return;
      event.preventDefault();
      typed = false;
      notice("Press Escape again to discard your input.");
    });
    dialog.element.querySelector("input:not(:disabled), textarea, select")?.focus();
  });
}
