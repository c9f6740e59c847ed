// Dialogs with the browser's <dialog>, which traps the focus and restores it.

import { h, newId } from "../dom.js";
import { setBusy } from "./busy.js";
import { errorPanel } from "./loading.js";

/**
 * Opens a dialog; `onClose` is called in any case. It stays open while a button in it is busy, so that
 * the result is shown. If it is not `cancellable`, only its own buttons close it.
 */
export function openDialog({ title, body, onClose = () => {}, cancellable = true }) {
  const id = newId("dialog");
  const element = h(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    h("h2", { id }, title),
    body,
  );
  const close = () => element.close();
  const mustStay = () => !cancellable || element.querySelector("[aria-busy=true]") !== null;
  const cancel = () => {
    if (!mustStay()) close();
  };
  element.addEventListener("cancel", (event) => {
    if (mustStay()) event.preventDefault();
  });
  // A second Escape would still close it: browsers allow only one prevented cancel.
  const closed = new AbortController();
  const blockEscape = (event) => {
    if (event.key === "Escape" && mustStay()) event.preventDefault();
  };
  document.addEventListener("keydown", blockEscape, { capture: true, signal: closed.signal });
  element.addEventListener("close", () => {
    closed.abort();
    element.remove();
    onClose();
  });
  document.body.append(element);
  element.showModal();
  return { element, close, cancel };
}

/**
 * Asks for confirmation, then runs `act`; if it fails, the dialog shows the error and stays open.
 * Resolves to the result of `act`, or undefined if the user cancelled. `body` may be a function: it gets
 * `offer(action, act)`, which adds a second action that no key chooses by accident. The first action has
 * the focus, unless it is a `danger` or `careful`.
 */
export function confirm({ title, body, action, danger = false, careful = danger, act }) {
  return new Promise((resolve) => {
    let result;
    const fault = h("div", {});
    const actionButton = (words, kind, work) => {
      const button = h(
        "button",
        { class: "button", "data-kind": kind, type: "button", onclick: () => run(button, work) },
        words,
      );
      return button;
    };
    const button = actionButton(action, danger ? "danger" : "main", act);
    const others = h("span", { class: "row" });
    const offer = (words, work) => others.append(actionButton(words, "danger", work));
    const cancel = h(
      "button",
      { class: "button", type: "button", onclick: () => dialog.cancel() },
      "Cancel",
    );
    const run = async (button, work) => {
      setBusy(button, true);
      fault.replaceChildren();
      try {
        result = await work();
        dialog.close();
      } catch (error) {
        if (error.name !== "AbortError") fault.replaceChildren(errorPanel(error));
      } finally {
        setBusy(button, false);
      }
    };
    const dialog = openDialog({
      title,
      body: [
        typeof body === "function" ? body(offer) : body,
        fault,
        h("div", { class: "form-actions" }, others, cancel, button),
      ],
      onClose: () => resolve(result),
    });
    (careful ? cancel : button).focus();
  });
}
