// Buttons while what they do is under way.

/** Shows a button as busy, or not; a dialog that it is in stays open meanwhile. */
export function setBusy(button, busy) {
  const focused = document.activeElement;
  if (busy) {
    button.setAttribute("aria-busy", "true");
    button.held = focused === button;
  } else {
    button.removeAttribute("aria-busy");
  }
  button.disabled = busy; // which takes the focus from it
  if (!busy && button.held && focused === document.body) button.focus();
}
