// What an import of labels wrote or would write, and the errors of a file line by line.

import { h } from "../dom.js";
import { count, NOTHING, plural } from "../format.js";
import { button, save } from "../parts/controls.js";
import { csv } from "../parts/csv.js";
import { errorPanel } from "../parts/loading.js";
import { table } from "../parts/table.js";

const SHOWN_ERRORS = 20;

export function importView({ dry_run: dry, rows, new: fresh, changed, unchanged, ...file }) {
  const { duplicates, outvoted, split_kept: kept } = file;
  const mapped = Object.entries(file.mapped);
  const { created, skipped } = file;
  return h(
    "div",
    { class: "panel", "data-kind": "good" },
    h("strong", {}, dry ? "The file is valid. Nothing was written." : "Imported."),
    h(
      "p",
      {},
      `${plural(rows, "line")}: ${count(fresh)} new, ${count(changed)} changed, ${count(unchanged)} unchanged, ${count(duplicates)} duplicates${skipped ? `, ${count(skipped)} skipped` : ""}.`,
    ),
    created.length
      ? h("p", {}, `${dry ? "Agents to create" : "Created agents"}: ${created.join(", ")}.`)
      : null,
    outvoted
      ? h(
          "p",
          {},
          `${plural(outvoted, "label does", "labels do")} not change the label in force: other votes or a final label override.`,
        )
      : null,
    kept
      ? h(
          "p",
          {},
          `${plural(kept, "query stays", "queries stay")} in another split than the file says.`,
        )
      : null,
    file.encoding === "utf-8"
      ? null
      : h("p", {}, `The file was read as ${file.encoding.toUpperCase()}. Check accented letters.`),
    mapped.length
      ? h("p", {}, `Mapped agent names: ${mapped.map((pair) => pair.join(" → ")).join(", ")}.`)
      : null,
  );
}

/** An error of the API for the file `name`, with the lines that it lists; `retry` adds a button. */
export function errorReport(error, name, retry = null) {
  const { errors = [], error_count: all = errors.length } = error.details ?? {};
  return [
    errorPanel(error, retry),
    errors.length ? errorTable({ errors, error_count: all }, name) : null,
  ];
}

/** The first errors of a file, and all that are known as a file. */
export function errorTable({ errors, error_count: all }, name) {
  const shown = errors.slice(0, SHOWN_ERRORS);
  return h(
    "div",
    { class: "stack" },
    table({
      caption:
        all > shown.length
          ? `The first ${shown.length} of ${count(all)} errors`
          : plural(all, "error"),
      rows: shown,
      columns: [
        { head: "Line", cell: (each) => count(each.line), kind: "number" },
        { head: "Field", cell: (each) => each.param ?? NOTHING },
        { head: "Error", cell: (each) => each.message, kind: "wide", heading: true },
      ],
    }),
    button(
      "Export errors (CSV)",
      () =>
        save(
          `${name}-errors.csv`,
          csv([
            ["line", "field", "error"],
            ...errors.map((each) => [each.line, each.param, each.message]),
          ]),
          "text/csv",
        ),
      { size: "small" },
    ),
  );
}
