// Tables: columns say how a cell is made; wide ones scroll within their frame.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { time } from "../format.js";
import { setBusy } from "./busy.js";
import { button } from "./controls.js";
import { errorPanel } from "./loading.js";

/** `columns` are {head, cell(row), kind: "number" | "wide" | "actions", heading: the row's name}. */
export function table({ caption, columns, rows, hideCaption = false }) {
  const body = h(
    "tbody",
    {},
    rows.map((row) => tableRow(columns, row)),
  );
  return h(
    "div",
    { class: "table", role: "region", "aria-label": caption, tabindex: "0" },
    h(
      "table",
      {},
      h("caption", { class: hideCaption ? "hidden-text" : null }, caption),
      h("thead", {}, h("tr", {}, columns.map(head))),
      body,
    ),
  );
}

function head({ head: title, kind }) {
  if (kind === "actions")
    return h("td", {}, h("span", { class: "hidden-text" }, title ?? "Actions"));
  return h("th", { scope: "col", class: kind === "number" ? "number" : null }, title);
}

function tableRow(columns, row) {
  return h(
    "tr",
    {},
    columns.map(({ cell, kind, heading }) =>
      h(
        heading ? "th" : "td",
        {
          scope: heading ? "row" : null,
          class: { number: "number", wide: "cell-wide", actions: "cell-actions" }[kind],
        },
        cell(row),
      ),
    ),
  );
}

/**
 * A list of the API as a table that grows: the first page is given, a button brings the next one.
 */
export function pagedTable({ caption, columns, first, path, query, signal, hideCaption = true }) {
  const frame = table({ caption, columns, rows: first.data, hideCaption });
  const body = frame.querySelector("tbody");
  const more = h("div", { class: "more" });
  const again = button("Load more", () => next());
  let after = null;
  const offer = (page) => {
    after = page.last_id;
    // A search looks at so many rows at a time; few of them may fit.
    const searched = page.searched_from
      ? h("p", { class: "help" }, `Searched back to ${time(page.searched_from)}.`)
      : null;
    replace(more, searched, page.has_more ? again : null);
  };
  const next = async () => {
    replace(more, again);
    setBusy(again, true);
    try {
      const page = await api("GET", path, { query: { ...query, after }, signal });
      body.append(...page.data.map((row) => tableRow(columns, row)));
      offer(page);
    } catch (error) {
      if (error.name !== "AbortError") replace(more, errorPanel(error, next));
    } finally {
      setBusy(again, false);
    }
  };
  offer(first);
  return h("div", {}, frame, more);
}
