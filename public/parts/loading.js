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
 * older call brings later is dropped. With `keep` what is shown stays until there is news. Resolves
 * to whether it is shown.
 */
export async function load(root, work, render, options = {}) {
  const { signal, keep = false, retry = () => load(root, work, render, options) } = options;
  const turn = Symbol("turn");
  root.turn = turn;
  const stale = () => signal?.aborted || root.turn !== turn;
  root.setAttribute("aria-busy", "true");
  if (!keep || !root.hasChildNodes()) replace(root, spinner());
  try {
    const found = await work();
    if (!stale()) replace(root, await render(found));
    return true;
  } catch (error) {
    if (stale() || error.name === "AbortError") return false;
    replace(root, errorPanel(error, retry));
    if (error.status === undefined) throw error; // a fault of ours: to the console too
    return false;
  } finally {
    if (!stale()) root.removeAttribute("aria-busy");
  }
}

/** Reads again and again until `read` returns false, at most once a `pause`, while the page is seen. */
export async function poll(read, { signal, pause = 1500 }) {
  while (!signal.aborted && (await read())) {
    await new Promise((resolve) => {
      setTimeout(resolve, pause);
      signal.addEventListener("abort", resolve, { once: true });
    });
  }
}
