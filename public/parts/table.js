// Tables: each column has a function for its cells. Wide tables scroll in their frame.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { time } from "../format.js";
import { setBusy } from "./busy.js";
import { button, card } from "./controls.js";
import { errorPanel, load } from "./loading.js";

/**
 * `columns` are {head, cell(row), kind: "number" | "wide" | "actions", heading: the row's name,
 * sort(row), minor}: with `sort`, the value to sort by, the head is a button that sorts the rows; a
 * `minor` one is left out where the table is narrow. A `dense` table has one line a row: of the wide
 * cell as much as fits.
 */
export function table({ caption, columns, rows, hideCaption = false, dense = false }) {
  const shown = rows.map((row) => [row, tableRow(columns, row)]);
  const body = h(
    "tbody",
    {},
    shown.map(([, element]) => element),
  );
  const heads = columns.map((column) =>
    head(column, (value, direction) => {
      for (const each of heads) each.removeAttribute("aria-sort");
      body.append(...sorted(shown, value, direction).map(([, element]) => element));
    }),
  );
  return h(
    "div",
    {
      class: "table",
      role: "region",
      "aria-label": caption,
      tabindex: "0",
      "data-dense": dense ? "true" : null,
    },
    h(
      "table",
      {},
      h("caption", { class: hideCaption ? "hidden-text" : null }, caption),
      h("thead", {}, h("tr", {}, heads)),
      body,
    ),
  );
}

function head({ head: title, kind, sort, minor }, onSort) {
  if (kind === "actions")
    return h("td", {}, h("span", { class: "hidden-text" }, title ?? "Actions"));
  const attributes = { scope: "col", class: classes({ number: kind === "number", minor }) };
  if (!sort) return h("th", attributes, title);
  const element = h("th", attributes, h("button", { type: "button", class: "sort" }, title));
  element.firstChild.addEventListener("click", () => {
    const descending = element.ariaSort !== "descending"; // the largest first
    onSort(sort, descending ? -1 : 1);
    element.ariaSort = descending ? "descending" : "ascending";
  });
  return element;
}

/** Rows without a value come last in both directions. */
function sorted(rows, value, direction) {
  const known = rows.filter(([row]) => hasValue(value(row)));
  const compare = (one, other) =>
    typeof one === "string" ? one.localeCompare(other) : one - other;
  known.sort(([one], [other]) => direction * compare(value(one), value(other)));
  return [...known, ...rows.filter(([row]) => !hasValue(value(row)))];
}

const hasValue = (value) => value !== null && value !== undefined;

const classes = ({ minor, ...named }) =>
  [...Object.keys(named).filter((name) => named[name]), minor && "cell-minor"]
    .filter(Boolean)
    .join(" ") || null;

const KINDS = { number: "number", wide: "cell-wide", actions: "cell-actions" };

function tableRow(columns, row) {
  return h(
    "tr",
    {},
    columns.map(({ cell, kind, heading, minor }) =>
      h(
        heading ? "th" : "td",
        {
          scope: heading ? "row" : null,
          class: classes({ [KINDS[kind]]: kind, minor }),
        },
        cell(row),
      ),
    ),
  );
}

/**
 * A list of the API as a table. `first` is its first page; a button loads the next one.
 */
export const pagedTable = (options) => pagedList(options).element;

/**
 * The same with what changes it: `rows` are {item, element}, `next()` loads the next page, if there is
 * one, `prepend(items)` adds newer ones, `cut(most)` takes the last ones away, which are then on the
 * next page, and `update(item)` shows a row again.
 */
export function pagedList({
  caption,
  columns,
  first,
  path,
  query,
  signal,
  hideCaption = true,
  dense = false,
}) {
  const frame = table({ caption, columns, rows: [], hideCaption, dense });
  const body = frame.querySelector("tbody");
  const more = h("div", { class: "more" });
  const loadMore = button("Load more", () => next());
  const rows = [];
  let after = null;
  const made = (items) => items.map((item) => ({ item, element: tableRow(columns, item) }));
  const elements = (added) => added.map(({ element }) => element);
  const append = (page) => {
    const added = made(page.data);
    rows.push(...added);
    body.append(...elements(added));
    showMore(page);
  };
  const showMore = (page) => {
    after = page.has_more ? page.last_id : null;
    // One search request scans a limited number of rows and may find few of them.
    const searched = page.searched_from
      ? h("p", { class: "help" }, `Searched back to ${time(page.searched_from)}.`)
      : null;
    replace(more, searched, after === null ? null : loadMore);
  };
  const next = async () => {
    if (after === null || loadMore.disabled) return;
    replace(more, loadMore);
    setBusy(loadMore, true);
    try {
      append(await api("GET", path, { query: { ...query, after }, signal }));
    } catch (error) {
      if (error.name !== "AbortError") replace(more, errorPanel(error, next));
    } finally {
      setBusy(loadMore, false);
    }
  };
  append(first);
  return {
    element: h("div", {}, frame, more),
    rows,
    next,
    prepend(items) {
      const added = made(items);
      rows.unshift(...added);
      body.prepend(...elements(added));
    },
    cut(most) {
      if (rows.length <= most) return;
      for (const { element } of rows.splice(most)) element.remove();
      showMore({ has_more: true, last_id: rows.at(-1).item.id });
    },
    update(item) {
      const row = rows.find((each) => each.item.id === item.id);
      if (!row) return;
      const [{ element }] = made([item]);
      for (const name of row.element.getAttributeNames())
        element.setAttribute(name, row.element.getAttribute(name));
      const focused = row.element.contains(document.activeElement);
      row.element.replaceWith(element);
      if (focused) element.querySelector("a, button")?.focus({ preventScroll: true });
      Object.assign(row, { item, element });
    },
  };
}

/** Loads a list of the API into `container`: a pagedTable, or what `none()` returns if it is empty. */
export const listTable = (container, { path, query, none, signal, ...options }) =>
  load(
    container,
    () => api("GET", path, { query, signal }),
    (first) =>
      first.data.length || first.has_more
        ? pagedTable({ ...options, first, path, query, signal })
        : none(),
    { signal, keep: true },
  );

/** A listTable with a select field above it; `queryOf` makes the query from the field's value. */
export function filteredTable(select, { queryOf, ...options }) {
  const list = h("div", {});
  const show = () => listTable(list, { ...options, query: queryOf(select.value()) });
  select.element.addEventListener("change", show);
  show();
  return card(
    null,
    h("div", { class: "stack" }, h("div", { class: "filters" }, select.element), list),
  );
}
