// Loading, error and empty states.

import { h, replace } from "../dom.js";
import { idText } from "./ids.js";

export const spinner = (text = "Loading …") => h("p", { class: "loading", role: "status" }, text);

/** An error's message and request id; `retry` adds a button. */
export function errorPanel(error, retry = null) {
  const { message, requestId } = error;
  return h(
    "div",
    { class: "panel", "data-kind": "bad", role: "alert" },
    h("p", {}, message),
    requestId ? h("p", { class: "small" }, "Request ", idText(requestId)) : null,
    retry
      ? h(
          "button",
          { class: "button", "data-size": "small", type: "button", onclick: retry },
          "Try again",
        )
      : null,
  );
}

export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("h2", {}, title), text ? h("p", {}, text) : null, actions);
}

/**
 * Fills `root` with `render(await work())`. Shows a spinner meanwhile, and on failure the error with
 * a button that calls `retry` (default: load again). A result is dropped if a newer call has started.
 * `keep` shows the old content instead of the spinner; `steady` does not redraw an unchanged result.
 * Resolves to whether the result is shown.
 */
export async function load(root, work, render, options = {}) {
  const {
    signal,
    keep = false,
    steady = false,
    retry = () => load(root, work, render, options),
  } = options;
  const loadId = Symbol("load");
  root.loadId = loadId;
  const stale = () => signal?.aborted || root.loadId !== loadId;
  root.setAttribute("aria-busy", "true");
  if (!keep || !root.hasChildNodes()) replace(root, spinner());
  try {
    const result = await work();
    const text = steady ? JSON.stringify(result) : null;
    if (stale()) return false;
    if (text === null || text !== root.shown) keepFocus(root, await render(result));
    root.shown = text;
    return true;
  } catch (error) {
    if (stale() || error.name === "AbortError") return false;
    root.shown = null;
    replace(root, errorPanel(error, retry));
    if (error.status === undefined) throw error; // a bug: show it in the console too
    return false;
  } finally {
    if (!stale()) root.removeAttribute("aria-busy");
  }
}

/** Replaces the content and moves the focus to the element that corresponds to the focused one. */
function keepFocus(root, content) {
  const nameOf = (element) => [element.tagName, element.ariaLabel ?? element.textContent].join();
  const focused = root.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  replace(root, content);
  if (focused === null) return;
  [...root.querySelectorAll("a, button, summary")]
    .find((each) => nameOf(each) === focused)
    ?.focus();
}

/**
 * A function that calls `read` repeatedly, `pause` ms apart, until it returns false. A new call ends the
 * previous loop.
 */
export function polling(read, { signal, pause = 1500 }) {
  let newest = 0;
  return async () => {
    newest += 1;
    const round = newest;
    while (!signal.aborted && round === newest && (await read())) await sleep(pause, signal);
  };
}

/** Resolves after `pause` ms, or as soon as the signal is aborted. */
export const sleep = (pause, signal) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, pause);
    signal.addEventListener("abort", done);
  });
