// What a change has changed: its fields with old and new values.

import { h } from "../dom.js";
import { NOTHING, plural } from "../format.js";
import { fieldName, optionName } from "./field_names.js";
import { idText } from "./ids.js";

const SHOWN = 3; // beside the others, which open
const MAX_CHARACTERS = 80; // of a value that is not opened
// They change with every write.
const INCIDENTAL = new Set(["object", "updated_at", "created_at"]);

/**
 * The fields that differ, as [path, old, new]; a value that is missing is undefined. Objects are
 * compared field by field.
 */
export function differences(before, after, parent = "") {
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  return [...names].flatMap((name) => {
    const path = parent + name;
    const [one, other] = [before?.[name], after?.[name]];
    if (INCIDENTAL.has(path) || JSON.stringify(one) === JSON.stringify(other)) return [];
    if (isObject(one) && isObject(other)) return differences(one, other, `${path}.`);
    return [[path, one, other]];
  });
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** The changes of an entry of the audit log. */
export function changesOf({ action, resource, before, after, request_id: requestId }) {
  const old = before ?? previousSelection(action, after);
  const found = differences(old, after ?? (before && {}));
  const rows = found.map(([path, one, other]) => ({ path, one, other }));
  const line = (row, whole) => change(resource, row, { hasOld: old !== null, whole });
  const made = old === null && after !== null;
  const gone = after === null && before !== null;
  // What is created or deleted is known by its name; a change by its fields.
  const isWhole = made || gone;
  const shown = isWhole && rows.length > SHOWN ? [] : rows.slice(0, SHOWN);
  return h(
    "div",
    { class: "stack-small" },
    made && !CREATED.has(action)
      ? h("p", { class: "help" }, "The old values were not recorded.")
      : null,
    shown.length
      ? h(
          "ul",
          { class: "changes" },
          shown.map((row) => h("li", {}, line(row, false))),
        )
      : null,
    h(
      "details",
      {},
      h("summary", { class: "small" }, summary(rows, isWhole ? 0 : shown.length)),
      h(
        "ul",
        { class: "changes" },
        rows.map((row) => h("li", {}, line(row, true))),
      ),
      h("p", { class: "help" }, "Request ", idText(requestId)),
    ),
  );
}

// Actions that have no old values.
const CREATED = new Set([
  "create",
  "import",
  "rebuild",
  "refresh",
  "erase",
  "retry",
  "make_agent",
  "apply",
  "reject",
  "label",
  "label_bulk",
  "calibrate",
  "challenger",
]);

/** Entries of earlier versions have the selection before in the new values. */
function previousSelection(action, after) {
  if (action !== "select" || after?.previous === undefined) return null;
  return { ...after, active: after.previous };
}

function summary(rows, shown) {
  if (!shown) return rows.length ? plural(rows.length, "field") : "No field changed";
  return rows.length > shown ? plural(rows.length - shown, "more change") : "Details";
}

function change(resource, { path, one, other }, { hasOld, whole }) {
  const name = h("span", { class: "muted" }, fieldName(resource, path));
  if (Array.isArray(one) && Array.isArray(other)) return [name, " ", listChange(one, other, whole)];
  const isDefault = (value) => resource === "config" && (value ?? null) === null;
  const text = (value) =>
    isDefault(value) ? "default" : shortened(optionName(path, value) ?? valueText(value), whole);
  return [
    name,
    " ",
    hasOld ? h("del", {}, text(one)) : null,
    hasOld && other !== undefined ? " → " : null,
    other === undefined ? null : h("ins", {}, text(other)),
  ];
}

/** Lists by what was added and removed; only another order as a whole. */
function listChange(one, other, whole) {
  const texts = (items) => items.map(valueText);
  const [old, now] = [texts(one), texts(other)];
  const removed = old.filter((item) => !now.includes(item));
  const added = now.filter((item) => !old.includes(item));
  if (!removed.length && !added.length) {
    const joined = (items) => shortened(items.join(", ") || NOTHING, whole);
    return [h("del", {}, joined(old)), " → ", h("ins", {}, joined(now))];
  }
  return [
    ...removed.map((item) => [h("del", {}, shortened(item, whole)), " "]),
    ...added.map((item) => [h("ins", {}, `+ ${shortened(item, whole)}`), " "]),
  ];
}

function valueText(value) {
  if (value === undefined || value === null) return NOTHING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(valueText).join(", ") || "(empty)";
  return typeof value === "string" ? value || "(empty)" : JSON.stringify(value);
}

const shortened = (text, whole) =>
  whole || text.length <= MAX_CHARACTERS ? text : `${text.slice(0, MAX_CHARACTERS)}…`;
