// Tables of counts whose cells are darker the larger their share of the row is. Many columns have
// vertical heads; both kinds of heads stay in view while the table scrolls in its frame.

import { h } from "../dom.js";
import { count as shown } from "../format.js";

const MAX_HORIZONTAL = 5; // columns; the heads of more are vertical
const LEVELS = 5;
const MOVES = {
  ArrowRight: [0, 1],
  ArrowLeft: [0, -1],
  ArrowDown: [1, 0],
  ArrowUp: [-1, 0],
};

/**
 * `rows` and `columns` are names, `count(row, column)` is a number, `marked(row, column)` says which
 * cells are framed, `describe(row, column, n, all)` is a cell's title. `corner` names the rows;
 * `titleOf(name)` is the full name of a row or column. With `open(row, column)` a cell with a number
 * is a button: one tab stop leads to all of them, arrow keys move between them.
 */
export function heatTable({
  label,
  caption,
  corner,
  rows,
  columns,
  count,
  marked,
  describe,
  titleOf = (name) => name,
  open = null,
}) {
  const sums = (names, number) =>
    new Map(names.map((name) => [name, number(name).reduce((sum, n) => sum + n, 0)]));
  const ofRow = sums(rows, (row) => columns.map((column) => count(row, column)));
  const ofColumn = sums(columns, (column) => rows.map((row) => count(row, column)));
  const cell = (row, column) => {
    const n = count(row, column);
    const all = ofRow.get(row);
    const title = describe(row, column, n, all);
    return h(
      "td",
      {
        class: "heat number",
        "data-level": n ? Math.max(1, Math.round((n / all) * LEVELS)) : 0,
        "data-correct": marked(row, column) ? "true" : null,
        title,
      },
      n && open ? cellButton(n, title, () => open(row, column)) : n ? shown(n) : "",
    );
  };
  const head = (name, scope) => h("th", { scope, title: titleOf(name) }, h("span", {}, name));
  const table = h(
    "table",
    {
      class: "confusion",
      "data-vertical": columns.length > MAX_HORIZONTAL ? "true" : null,
      onkeydown: (event) => move(table, event),
    },
    h("caption", { class: "help" }, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, corner),
        columns.map((column) => head(column, "col")),
        h("th", { scope: "col", class: "heat-sum" }, h("span", {}, "All")),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          head(row, "row"),
          columns.map((column) => cell(row, column)),
          h("td", { class: "heat-sum number" }, shown(ofRow.get(row))),
        ),
      ),
    ),
    h(
      "tfoot",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "row" }, "All"),
        columns.map((column) => h("td", { class: "number" }, shown(ofColumn.get(column)))),
        h(
          "td",
          { class: "heat-sum number" },
          shown([...ofRow.values()].reduce((sum, n) => sum + n, 0)),
        ),
      ),
    ),
  );
  table.querySelector("button")?.setAttribute("tabindex", "0");
  return h(
    "div",
    { class: "table heat-frame", role: "region", tabindex: "0", "aria-label": label },
    table,
  );
}

const cellButton = (n, title, onclick) =>
  h(
    "button",
    { class: "heat-cell", type: "button", tabindex: "-1", "aria-label": title, onclick },
    shown(n),
  );

/** The next button in the direction of an arrow key gets the focus, and becomes the tab stop. */
function move(table, event) {
  const step = MOVES[event.key];
  const from = event.target.closest("td");
  if (!step || !from?.querySelector("button")) return;
  event.preventDefault();
  const lines = [...table.tBodies[0].rows];
  let row = lines.indexOf(from.parentElement) + step[0];
  let column = from.cellIndex + step[1];
  while (lines[row]?.cells[column]) {
    const next = lines[row].cells[column].querySelector("button");
    if (next) {
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
      return;
    }
    row += step[0];
    column += step[1];
  }
}
