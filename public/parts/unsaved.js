// Input that is not saved: leaving it asks first.

import { h } from "../dom.js";
import { confirm } from "./dialog.js";

const watched = new WeakMap(); // element: {text(), saved}

/**
 * Asks before the form, or another element, is left while `read()` gives other values than now. Returns a
 * function to call once the values are saved.
 */
export function watchInput(element, read) {
  const text = () => JSON.stringify(read());
  const saved = () => watched.set(element, { text, saved: text() });
  element.dataset.watched = "true";
  saved();
  return saved;
}

/** Elements on the page with input that is neither saved nor being saved. */
const unsavedForms = () =>
  [...document.querySelectorAll("[data-watched]")].filter((element) => {
    const { text, saved } = watched.get(element) ?? {};
    return saved !== undefined && !element.querySelector("[aria-busy=true]") && text() !== saved;
  });

/** Whether the page may be left: nothing is unsaved, or the user discards it. */
export async function mayLeave() {
  const forms = unsavedForms();
  if (!forms.length) return true;
  const discarded = await confirm({
    title: "Leave without saving?",
    body: h("p", {}, "Your changes on this page are not saved."),
    action: "Discard changes",
    danger: true,
    act: () => true,
  });
  if (!discarded) return false;
  for (const form of forms) watched.delete(form);
  return true;
}

/** Guards the open page until `signal` is aborted, against its end and against links to other addresses. */
export function guardInput(signal) {
  window.addEventListener(
    "beforeunload",
    (event) => {
      if (unsavedForms().length) event.preventDefault(); // the browser asks
    },
    { signal },
  );
  document.addEventListener(
    "click",
    async (event) => {
      const link = event.target.closest("a[href^='#']");
      const other = event.ctrlKey || event.metaKey || event.shiftKey; // another tab or window
      if (!link || other || !unsavedForms().length) return;
      event.preventDefault();
      if (await mayLeave()) location.hash = link.hash;
    },
    { signal, capture: true },
  );
}

let asking = false;

/**
 * What to do at a `hashchange`, such as by the Back button: resolves to whether the new screen may be opened now.
 * While the user is asked the old address is back; if the input is discarded, the new one follows as a
 * change of its own.
 */
export async function mayFollow(event) {
  if (!unsavedForms().length) return true;
  const wanted = location.hash;
  history.pushState(null, "", event.oldURL);
  if (asking) return false;
  asking = true;
  const discarded = await mayLeave();
  asking = false;
  if (discarded) location.hash = wanted;
  return false;
}
