// Tables of counts whose cells are darker the larger their share of the row is.

import { h } from "../dom.js";

/**
 * `rows` and `columns` are names, `count(row, column)` is a number, `marked(row, column)` says which
 * cells are framed, `describe(row, column, n, all)` is a cell's title. `corner` names the rows.
 */
export function heatTable({ label, caption, corner, rows, columns, count, marked, describe }) {
  const cell = (row, column, all) => {
    const n = count(row, column);
    return h(
      "td",
      {
        class: "heat number",
        "data-level": n ? Math.max(1, Math.round((n / all) * 5)) : 0,
        "data-correct": marked(row, column) ? "true" : null,
        title: describe(row, column, n, all),
      },
      n || "",
    );
  };
  return h(
    "div",
    { class: "table", role: "region", tabindex: "0", "aria-label": label },
    h(
      "table",
      { class: "confusion" },
      h("caption", { class: "help" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, corner),
          columns.map((column) => h("th", { scope: "col", class: "number" }, column)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) => {
          const all = columns.reduce((sum, column) => sum + count(row, column), 0);
          return h(
            "tr",
            {},
            h("th", { scope: "row" }, row),
            columns.map((column) => cell(row, column, all)),
          );
        }),
      ),
    ),
  );
}
