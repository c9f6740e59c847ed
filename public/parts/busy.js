// The busy state of buttons.

/** Sets or clears a button's busy state. A dialog that contains a busy button stays open. */
export function setBusy(button, busy) {
  const focused = document.activeElement;
  if (busy) {
    button.setAttribute("aria-busy", "true");
    button.hadFocus = focused === button;
  } else {
    button.removeAttribute("aria-busy");
  }
  button.disabled = busy; // a disabled button loses the focus
  if (!busy && button.hadFocus && focused === document.body) button.focus();
}
