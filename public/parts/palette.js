// The command palette: opens a screen, an agent, a model, an id … by a few letters.

import { h, icon, replace } from "../dom.js";
import { openDialog } from "./dialog.js";
import { bestOf } from "./fuzzy.js";
import { fixedItems, readNamed, typedItems } from "./palette_items.js";
import { recentItems, remember } from "./palette_recent.js";

const MAX_SHOWN = 50;
const RECENT_BONUS = 20;

export function openPalette() {
  const ended = new AbortController();
  const fixed = fixedItems();
  const named = [];
  let shown = [];
  let current = 0;
  const list = h("ul", {
    class: "palette-list",
    id: "palette-list",
    role: "listbox",
    "aria-label": "Results",
  });
  const state = h("p", { class: "help palette-state", role: "status" });
  const input = h("input", {
    type: "text",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "Screen, agent, model, key, id …",
    "aria-label": "Search everything",
    "aria-expanded": "true",
    "aria-controls": "palette-list",
    "aria-autocomplete": "list",
    oninput: () => show(),
    onkeydown: (event) => onKey(event),
  });
  const show = () => {
    const all = [...fixed, ...named];
    const recent = recentItems(all);
    const typed = input.value;
    const isRecent = new Set(recent.map(({ href }) => href));
    const bonus = ({ href }) => (isRecent.has(href) ? RECENT_BONUS : 0);
    const { ids, searches } = typedItems(typed);
    shown = typed.trim()
      ? [...ids, ...bestOf(all, typed, bonus).slice(0, MAX_SHOWN), ...searches]
      : [...recent, ...fixed.filter(({ href }) => !isRecent.has(href))];
    current = 0;
    replace(
      list,
      shown.map((item, index) => option(item, index, isRecent.has(item.href) && !typed.trim())),
    );
    mark();
    state.textContent = shown.length ? "" : "Nothing matches.";
  };
  const option = (item, index, recent) =>
    h(
      "li",
      {
        id: `palette-${index}`,
        role: "option",
        "aria-selected": "false",
        onclick: () => choose(item),
        onmousemove: () => move(index),
      },
      h("span", { class: "wrap" }, item.title),
      h("span", { class: "palette-kind" }, recent ? `${item.kind} · recent` : item.kind),
    );
  const move = (index) => {
    if (index === current || !shown.length) return;
    current = (index + shown.length) % shown.length;
    mark();
  };
  const mark = () => {
    for (const [index, each] of [...list.children].entries())
      each.setAttribute("aria-selected", String(index === current));
    const element = list.children[current];
    element?.scrollIntoView({ block: "nearest" });
    if (element) input.setAttribute("aria-activedescendant", element.id);
    else input.removeAttribute("aria-activedescendant");
  };
  const onKey = (event) => {
    const last = shown.length - 1;
    const places = { ArrowDown: current + 1, ArrowUp: current - 1, PageDown: last, PageUp: 0 };
    if (event.key in places) move(places[event.key]);
    else if (event.key === "Enter" && shown[current]) choose(shown[current]);
    else return;
    event.preventDefault();
  };
  const choose = async (item) => {
    if (item.run) {
      dialog.close();
      item.run();
      return;
    }
    try {
      const href = item.href ?? (await item.find(ended.signal));
      dialog.close();
      remember({ ...item, href });
      location.hash = href;
    } catch (error) {
      if (error.name !== "AbortError") state.textContent = error.message;
    }
  };
  const same = (one) => (other) => other.title === one.title && other.href === one.href;
  const dialog = openDialog({
    title: "Search everything",
    body: [h("div", { class: "palette-field" }, icon("search"), input), list, state],
    onClose: () => ended.abort(),
  });
  dialog.element.classList.add("palette");
  dialog.element.addEventListener("click", (event) => {
    if (event.target === dialog.element) dialog.close(); // the backdrop
  });
  show();
  input.focus();
  readNamed(ended.signal, (items) => {
    named.push(...items);
    if (ended.signal.aborted || !input.value.trim()) return;
    const chosen = current > 0 ? shown[current] : null; // what arrives does not move the choice
    show();
    if (chosen) move(Math.max(shown.findIndex(same(chosen)), 0));
  });
}
