// The theme: light, dark, or the system's. Charts listen for changes, since they draw on a canvas.

const ITEM = "edgeneuro.theme";
const CHANGED = "edgeneuro:theme";
const NEXT = { system: "light", light: "dark", dark: "system" };

export const theme = () => localStorage.getItem(ITEM) ?? "system";

export function applyTheme() {
  const chosen = theme();
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  window.dispatchEvent(new Event(CHANGED));
}

export function switchTheme() {
  localStorage.setItem(ITEM, NEXT[theme()]);
  applyTheme();
}

/** Calls `listener` on every change until `signal` ends it. */
export function onThemeChange(listener, signal) {
  window.addEventListener(CHANGED, listener, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener, { signal });
}
