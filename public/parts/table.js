// Tables: columns say how a cell is made; wide ones scroll within their frame.

import { api } from "../api.js";
import { h } from "../dom.js";
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
  const offer = (page, focus) => {
    more.replaceChildren();
    if (!page.has_more) return;
    const again = button("Load more", () => next(page.last_id));
    more.append(again);
    if (focus) again.focus();
  };
  const next = async (after) => {
    const waiting = button("Load more", () => {}, { disabled: true });
    waiting.setAttribute("aria-busy", "true");
    more.replaceChildren(waiting);
    try {
      const page = await api("GET", path, { query: { ...query, after }, signal });
      body.append(...page.data.map((row) => tableRow(columns, row)));
      offer(page, document.activeElement === document.body);
    } catch (error) {
      if (error.name !== "AbortError") more.replaceChildren(errorPanel(error, () => next(after)));
    }
  };
  offer(first, false);
  return h("div", {}, frame, more);
}
