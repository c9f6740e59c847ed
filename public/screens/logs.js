// Logs: the list of requests, and the trace of one request.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, plural } from "../format.js";
import { readAgents } from "../parts/agents.js";
import { actionButton, link, pageHead, save } from "../parts/controls.js";
import { deadLetters } from "../parts/dead_letters.js";
import { exportLogs, logsAsCsv, MAX_EXPORTED } from "../parts/export_logs.js";
import { filterBar, stateText } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { readCallerNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { readRouters } from "../parts/routers.js";
import { pagedList } from "../parts/table.js";
import { views } from "../parts/views.js";
import { columns } from "./logs_columns.js";
import { between, filterSpecs, queryOf, VIEWS, visibleFields, withRange } from "./logs_filters.js";
import { logHistogram } from "./logs_histogram.js";
import { showLog } from "./logs_one.js";
import { requestPeek } from "./logs_peek.js";
import { liveTail } from "./logs_tail.js";

const PAGE_ROWS = 50;

export async function open(page) {
  const [id] = page.path;
  await (id ? showLog(page, id) : list(page));
}

async function list(page) {
  const { root, signal, may } = page;
  const actions = h("div", { class: "row" });
  const head = pageHead("Logs", "All requests, newest first. Click a row for its trace.", actions);
  const container = h("div", { class: "stack" });
  replace(root, head, container);
  root.classList.add("split");
  const early = earlyPage(page);
  await load(
    container,
    () =>
      Promise.all([
        readAgents(signal),
        readModels(signal),
        readRouters(signal),
        deadLetters({ signal, may }),
        readCallerNames({ may, signal }),
      ]),
    ([agents, models, routers, unlogged]) => {
      const screen = logList(page, { behind: [head, container], early, agents, models, routers });
      replace(actions, screen.actions);
      return [unlogged, screen.content];
    },
    { signal },
  );
}

/** The first page is read while the fields of the filters are, for the state that the address has. */
function earlyPage({ query, signal }) {
  const { request, ...state } = Object.fromEntries(withRange(query));
  const page = readPage(queryOf(state), signal);
  page.catch(() => {}); // shown where it is used
  return { text: stateText(state), page };
}

const readPage = (query, signal) =>
  api("GET", "/v1/logs", { query: { ...query, limit: PAGE_ROWS }, signal });

/** The list with its filters, views, histogram and panel. */
function logList(page, { behind, early, agents, models, routers }) {
  const { root, signal, may } = page;
  const query = withRange(page.query);
  const body = h("div", { class: "logs-list" });
  let filters = {};
  let shown = null; // {query, newest, rows}: the pagedList, null without requests
  const state = () => filters;
  const peek = requestPeek({
    root,
    behind: () => behind,
    list: () => shown?.rows ?? null,
    state,
    agents,
    may,
    signal,
  });
  peek.follow(query.get("request"));
  const chart = logHistogram({
    select: (from, to) => bar.set(between(filters, from, to)),
    signal,
  });
  const saved = views({ screen: "logs", given: VIEWS, state });
  const show = async () => {
    const wanted = queryOf(filters);
    const prepared = early?.text === stateText(filters) ? early.page : null;
    early = null;
    const loaded = await load(
      body,
      () => prepared ?? readPage(wanted, signal),
      (first) => {
        const rows = first.data.length || first.has_more ? tableOf(first, wanted) : null;
        shown = { query: wanted, newest: first.newest_id, rows };
        peek.mark();
        return rows ? rows.element : noRequests(filters, may);
      },
      { signal, keep: true, retry: () => show() },
    );
    if (loaded) chart.show(wanted);
  };
  const tableOf = (first, wanted) =>
    pagedList({
      caption: "Requests",
      path: "/v1/logs",
      query: { ...wanted, limit: PAGE_ROWS },
      columns: columns(agents, state),
      dense: true,
      first,
      signal,
    });
  const tail = liveTail({
    list: () => shown,
    reload: show,
    reading: () =>
      peek.id() !== null ||
      body.contains(document.activeElement) ||
      body.matches(":hover") ||
      body.getBoundingClientRect().top < 0,
    grown() {
      peek.mark();
      chart.show(queryOf(filters), { quiet: true });
    },
    signal,
  });
  body.addEventListener("click", (event) => openRow(event, shown?.rows, peek));
  const bar = filterBar({
    parts: ["logs"],
    specs: filterSpecs(agents, models, routers, query),
    query,
    visible: visibleFields,
    held: () => ({ request: peek.id() }),
    show(next) {
      filters = next;
      peek.stay();
      saved.show();
      show();
    },
    signal,
  });
  page.follow = ({ path, query: next }) => {
    if (path.length) return false;
    const asked = withRange(next);
    peek.follow(asked.get("request"));
    bar.set(Object.fromEntries(asked));
    return true;
  };
  const exported = (name, type, write) =>
    exportPage(queryOf(filters), name, { type, write, signal });
  return {
    actions: [
      tail.element,
      actionButton("Export (JSONL)", () => exported("jsonl", "application/jsonl")),
      actionButton("Export (CSV)", () => exported("csv", "text/csv", logsAsCsv)),
    ],
    content: [saved.element, bar.element, bar.chips, chart.element, tail.notice, body],
  };
}

/** A click on a row shows its request beside the list; on its link with a key held, as links do. */
function openRow(event, list, peek) {
  const { target } = event;
  const row = list?.rows.find(({ element }) => element.contains(target));
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = target.closest("a");
  if ((link && !link.closest("th")) || String(getSelection())) return;
  event.preventDefault();
  peek.open(row.item.id);
}

async function exportPage(query, ending, { type, write, signal }) {
  const { parts, rows, more } = await exportLogs(query, { signal, write });
  if (rows === 0) {
    notice("No requests match: the file would be empty.");
    return;
  }
  save(`edgeneuro-logs.${ending}`, new Blob(parts, { type }));
  const older = more ? ` Older than the newest ${count(MAX_EXPORTED)} are not in the file.` : "";
  notice(`${plural(rows, "request")} exported.${older}`);
}

const noRequests = (filters, may) =>
  Object.values(filters).some((value) => value !== null)
    ? empty("No requests match these filters", "Remove a filter or change the time range.")
    : empty(
        "No requests yet",
        "Each request that is routed appears here.",
        may("route") ? link("Open playground", "#/playground", { size: "" }) : null,
      );
