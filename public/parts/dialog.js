// Dialogs over the screen, on the browser's own <dialog>: it holds the focus and gives it back.

import { h, newId } from "../dom.js";
import { errorPanel } from "./loading.js";

/** Opens one; `onClose` is called however it ends. */
export function openDialog({ title, body, onClose = () => {} }) {
  const id = newId("dialog");
  const element = h(
    "dialog",
    { class: "dialog", "aria-labelledby": id },
    h("h2", { id }, title),
    body,
  );
  const close = () => element.close();
  element.addEventListener("close", () => {
    element.remove();
    onClose();
  });
  document.body.append(element);
  element.showModal();
  return { element, close };
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
      { class: "button", type: "button", onclick: () => dialog.close() },
      "Cancel",
    );
    const run = async () => {
      button.disabled = true;
      button.setAttribute("aria-busy", "true");
      fault.replaceChildren();
      try {
        result = await act();
        dialog.close();
      } catch (error) {
        fault.replaceChildren(errorPanel(error));
      } finally {
        button.disabled = false;
        button.removeAttribute("aria-busy");
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
