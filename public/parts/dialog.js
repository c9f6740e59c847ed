// Dialogs over the screen, on the browser's own <dialog>: it holds the focus and gives it back.

import { h, newId } from "../dom.js";
import { setBusy } from "./busy.js";
import { errorPanel } from "./loading.js";

/**
 * Opens one; `onClose` is called however it ends. While something in it is busy it stays: what comes
 * of that is to be seen. One that is not `cancellable` is closed by its own buttons alone.
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
  const stays = () => !cancellable || element.querySelector("[aria-busy=true]") !== null;
  const cancel = () => {
    if (!stays()) close();
  };
  element.addEventListener("cancel", (event) => {
    if (stays()) event.preventDefault();
  });
  // A second Escape would close it in spite of that, and a button that is busy has no focus.
  const closed = new AbortController();
  const hold = (event) => {
    if (event.key === "Escape" && stays()) event.preventDefault();
  };
  document.addEventListener("keydown", hold, { capture: true, signal: closed.signal });
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
 * Asks before something is done, and does it: the dialog stays, with the error, where it fails.
 * Resolves to what `act` returned, or undefined where the user did not want it.
 */
export function confirm({ title, body, action, danger = false, act }) {
  return new Promise((resolve) => {
    let result;
    const fault = h("div", {});
    const button = h(
      "button",
      {
        class: "button",
        "data-kind": danger ? "danger" : "main",
        type: "button",
        onclick: () => run(),
      },
      action,
    );
    const cancel = h(
      "button",
      { class: "button", type: "button", onclick: () => dialog.cancel() },
      "Cancel",
    );
    const run = async () => {
      setBusy(button, true);
      fault.replaceChildren();
      try {
        result = await act();
        dialog.close();
      } catch (error) {
        if (error.name !== "AbortError") fault.replaceChildren(errorPanel(error));
      } finally {
        setBusy(button, false);
      }
    };
    const dialog = openDialog({
      title,
      body: [body, fault, h("div", { class: "form-actions" }, cancel, button)],
      onClose: () => resolve(result),
    });
    (danger ? cancel : button).focus();
  });
}
