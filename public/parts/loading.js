// What stands where data is awaited, could not be had, or is not there yet.

import { h, replace } from "../dom.js";

export const spinner = (text = "Loading …") => h("p", { class: "loading", role: "status" }, text);

/** Our message and the request id; with `retry` a button that tries again. */
export function errorPanel(error, retry = null) {
  const { message, requestId } = error;
  return h(
    "div",
    { class: "panel", "data-kind": "bad", role: "alert" },
    h("p", {}, message),
    requestId ? h("p", { class: "small" }, "Request ", h("code", {}, requestId)) : null,
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
 * Fills `root` with what `render` makes of what `work` brings: a spinner meanwhile, and where it
 * fails the error with a button that tries again, by `retry` if that is more than this. What an
 * older call brings later is dropped. With `keep` what is shown stays until there is news, with
 * `steady` the same news is not drawn anew. Resolves to whether it is shown.
 */
export async function load(root, work, render, options = {}) {
  const {
    signal,
    keep = false,
    steady = false,
    retry = () => load(root, work, render, options),
  } = options;
  const turn = Symbol("turn");
  root.turn = turn;
  const stale = () => signal?.aborted || root.turn !== turn;
  root.setAttribute("aria-busy", "true");
  if (!keep || !root.hasChildNodes()) replace(root, spinner());
  try {
    const found = await work();
    const text = steady ? JSON.stringify(found) : null;
    if (stale()) return false;
    if (text === null || text !== root.shown) keepFocus(root, await render(found));
    root.shown = text;
    return true;
  } catch (error) {
    if (stale() || error.name === "AbortError") return false;
    root.shown = null;
    replace(root, errorPanel(error, retry));
    if (error.status === undefined) throw error; // a fault of ours: to the console too
    return false;
  } finally {
    if (!stale()) root.removeAttribute("aria-busy");
  }
}

/** What is drawn anew takes the focus where its former self had it. */
function keepFocus(root, content) {
  const nameOf = (element) => [element.tagName, element.ariaLabel ?? element.textContent].join();
  const held = root.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  replace(root, content);
  if (held === null) return;
  [...root.querySelectorAll("a, button, summary")].find((each) => nameOf(each) === held)?.focus();
}

/**
 * A function that calls `read` again and again until that returns false, a `pause` apart. Called
 * anew, the former round ends.
 */
export function polling(read, { signal, pause = 1500 }) {
  let newest = 0;
  return async () => {
    newest += 1;
    const round = newest;
    while (!signal.aborted && round === newest && (await read())) await sleep(pause, signal);
  };
}

const sleep = (pause, signal) =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, pause);
    signal.addEventListener("abort", done);
  });
