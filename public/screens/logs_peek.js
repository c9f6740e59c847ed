// The trace of one request beside the list of logs, which stays as it is. The address names it.

import { h, replace } from "../dom.js";
import { count } from "../format.js";
import { button } from "../parts/controls.js";
import { load } from "../parts/loading.js";
import { readLog } from "../parts/log_row.js";
import { shortcuts } from "../parts/shortcuts.js";
import { address, addState, saveState } from "../router.js";
import { traceView } from "./logs_one.js";

const NARROW = "(width < 70rem)"; // there it covers the list; as in screens.css
const SCROLLED = "pre, .table, .histogram"; // arrow keys move what is in them

/**
 * `root` gets the panel as its last child, `behind()` are the elements that it covers on a narrow screen.
 * `list()` is the pagedList that is shown, or null, and `state()` are the filters. `agents` are those
 * that the list has read.
 */
export function requestPeek({ root, behind, list, state, agents, may, signal }) {
  let [id, added, showing] = [null, false, null];
  const narrow = window.matchMedia(NARROW);
  const title = h("h2", { tabindex: "-1" }, "Request");
  const place = h("span", { class: "help", role: "status" });
  const fullPage = h("a", { class: "button", "data-size": "small" }, "Full page");
  const body = h("div", { class: "stack" });
  const element = h(
    "section",
    { class: "peek stack", "aria-label": "Selected request" },
    h(
      "div",
      { class: "peek-head" },
      title,
      place,
      button("↑", () => move(-1), { size: "small", label: "Previous request" }),
      button("↓", () => move(1), { size: "small", label: "Next request" }),
      fullPage,
      button("×", () => close(), { size: "small", label: "Close" }),
    ),
    body,
  );
  const rows = () => list()?.rows ?? [];
  const rowOf = (wanted) => rows().find(({ item }) => item.id === wanted);
  const linkIn = (row) => row?.element.querySelector("tbody th a, th a");
  const addressed = () => ({ ...state(), request: id });

  const mark = () => {
    for (const row of rows()) {
      if (row.item.id === id) row.element.setAttribute("aria-current", "true");
      else row.element.removeAttribute("aria-current");
    }
    const at = rows().findIndex(({ item }) => item.id === id);
    place.textContent = at < 0 ? "" : `${count(at + 1)} of ${count(rows().length)}`;
  };

  const cover = () => {
    for (const each of behind()) each.inert = id !== null && narrow.matches;
  };

  const show = (wanted) => {
    showing?.abort();
    showing = new AbortController();
    const within = AbortSignal.any([signal, showing.signal]);
    id = wanted;
    root.append(element);
    root.dataset.open = "true";
    cover();
    mark();
    fullPage.href = address(["logs", id], state());
    const inList = (other) => address(["logs"], { ...state(), request: other });
    const read = () =>
      load(
        body,
        () => readLog(wanted, within),
        (log) => {
          list()?.update(log);
          mark();
          return traceView(log, agents, {
            may,
            signal: within,
            show: again,
            at: inList,
          });
        },
        { signal: within, keep: true },
      );
    const again = async () => {
      await read();
      // The button that was pressed may be gone.
      if (document.activeElement === document.body) title.focus({ preventScroll: true });
    };
    return read();
  };

  const hide = () => {
    const left = rowOf(id);
    const focused = document.activeElement;
    const lost = element.contains(focused) || focused === document.body;
    showing?.abort();
    id = null;
    element.remove();
    replace(body);
    delete root.dataset.open;
    cover();
    mark();
    if (lost) linkIn(left)?.focus();
  };

  const open = (wanted) => {
    const first = id === null;
    show(wanted);
    if (first) addState(["logs"], addressed());
    else saveState(["logs"], addressed());
    added ||= first;
    element.scrollTop = 0;
    rowOf(wanted)?.element.scrollIntoView({ block: "nearest" }); // the list is narrower now
    title.focus({ preventScroll: true });
  };

  const close = () => {
    if (id === null) return false;
    hide();
    // So that “Back” does not open it again.
    if (added) history.back();
    else saveState(["logs"], state());
    added = false;
  };

  /** To the next row or the one before: shown if the panel is open, else focused. */
  const move = async (step) => {
    const focused = rows().findIndex(({ element: row }) => row.contains(document.activeElement));
    const at = id === null ? focused : rows().findIndex(({ item }) => item.id === id);
    const wanted = at < 0 ? 0 : at + step;
    if (wanted >= rows().length) await list()?.next();
    const row = rows()[wanted];
    if (!row) return;
    row.element.scrollIntoView({ block: "nearest" });
    if (id === null) linkIn(row).focus();
    else {
      const inside = element.contains(document.activeElement);
      show(row.item.id);
      saveState(["logs"], addressed());
      element.scrollTop = 0;
      if (inside && !element.querySelector(".peek-head").contains(document.activeElement))
        title.focus({ preventScroll: true });
      else if (!inside && !narrow.matches) linkIn(row).focus();
    }
  };

  const arrow = (step) => () => {
    const focused = document.activeElement;
    const onRow = rows().some(({ element: row }) => row.contains(focused));
    if (id === null ? !onRow : focused.closest(SCROLLED) && !onRow) return false;
    move(step);
  };

  shortcuts(signal, "Logs", [
    { keys: ["j"], text: "Next request", run: () => void move(1), repeat: true },
    { keys: ["k"], text: "Previous request", run: () => void move(-1), repeat: true },
    { keys: ["ArrowDown"], text: "Next request, from a row", run: arrow(1), repeat: true },
    { keys: ["ArrowUp"], text: "Previous request, from a row", run: arrow(-1), repeat: true },
    { shown: "Enter", text: "Open the request of the row" },
    { keys: ["m"], text: "Mark the open request as misrouted", run: () => press("mark") },
    { keys: ["Escape"], text: "Close the request", run: close },
  ]);
  const press = (name) => {
    const found = body.querySelector(`button[name="${name}"]`);
    if (!found) return false;
    found.click();
  };
  narrow.addEventListener("change", cover, { signal });

  return {
    open,
    mark,
    /** What the address names: null closes it. */
    follow(wanted) {
      if (wanted === id) return;
      added = false;
      if (wanted === null) hide();
      else show(wanted);
    },
    id: () => id,
    /** The filters have changed, and the address with them: “Back” does not close it any more. */
    stay() {
      added = false;
    },
  };
}
