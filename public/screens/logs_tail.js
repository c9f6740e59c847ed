// Live tail: requests that are logged while the list is open appear above it. What somebody reads does
// not move: meanwhile they wait behind a button.

import { api } from "../api.js";
import { h, newId } from "../dom.js";
import { count, plural } from "../format.js";
import { button } from "../parts/controls.js";
import { polling } from "../parts/loading.js";

const PAUSE_MS = 3000;
const MAX_NEW = 100; // of one look; if more came, the list is read again
const MAX_ROWS = 500; // of the list, which would grow without end

/**
 * `list()` is the list that is shown ({query, newest, rows}), or null, `reload()` reads it again, `reading()` says
 * whether it must not move, `grown()` is called after rows were added.
 */
export function liveTail({ list, reload, reading, grown, signal }) {
  const id = newId("tail");
  const problem = h("span", { class: "help", role: "status" });
  const pill = button("", () => showWaiting(true), { size: "small", kind: "main" });
  const notice = h("div", { class: "new-rows", role: "status" });
  let waiting = { of: null, items: [], all: true };

  const look = async () => {
    if (!box.checked) return false;
    if (document.hidden) await visible(signal);
    const current = list();
    if (!current) return true;
    try {
      const query = { ...current.query, limit: MAX_NEW, written_after: current.newest };
      const page = await api("GET", "/v1/logs", { query, signal });
      problem.textContent = "";
      if (current !== list()) return box.checked;
      if (waiting.of !== current) waiting = { of: current, items: [], all: true };
      current.newest = page.newest_id;
      const known = new Set([...waiting.items, ...itemsOf(current)].map(({ id }) => id));
      waiting.items.unshift(...page.data.filter((item) => !known.has(item.id)));
      waiting.all &&= !page.has_more && waiting.items.length <= MAX_NEW;
      showWaiting(!reading());
    } catch (error) {
      if (error.name === "AbortError") return false;
      problem.textContent = `${error.message} Live tail tries again.`;
    }
    return box.checked;
  };

  const showWaiting = (now) => {
    const { of, items, all } = waiting;
    if (of !== list() || !items.length) {
      notice.replaceChildren();
      return;
    }
    if (!now) {
      const many = all ? plural(items.length, "new request") : `${count(MAX_NEW)}+ new requests`;
      pill.textContent = `Show ${many}`;
      if (!pill.isConnected) notice.append(pill);
      return;
    }
    waiting = { of: null, items: [], all: true };
    const focused = pill === document.activeElement;
    notice.replaceChildren();
    if (all && of.rows) {
      of.rows.prepend(items);
      of.rows.cut(MAX_ROWS);
    } else reload();
    if (focused) box.focus();
    grown();
  };

  const start = polling(look, { signal, pause: PAUSE_MS });
  const box = h("input", { id, type: "checkbox", role: "switch", onchange: () => start() });
  return {
    element: h("div", { class: "check" }, box, h("label", { for: id }, "Live tail"), problem),
    notice,
  };
}

const itemsOf = ({ rows }) => rows?.rows.map(({ item }) => item) ?? [];

/** Resolves when the page can be seen again. */
const visible = (signal) =>
  new Promise((resolve) => {
    const done = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", done);
      resolve();
    };
    document.addEventListener("visibilitychange", done);
    signal.addEventListener("abort", done);
  });
