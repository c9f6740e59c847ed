// The frame of all screens: navigation, account menu, and the screen that the address names.

import { h, icon, replace } from "./dom.js";
import { BY_NAME, firstScreen, markCurrent, navigation, screenShortcuts } from "./menu.js";
import { errorPanel } from "./parts/loading.js";
import { showSchema } from "./parts/schema.js";
import { listenForShortcuts, shortcuts } from "./parts/shortcuts.js";
import { currentRoute } from "./router.js";
import { SESSION_CHANGED, session, signOut } from "./session.js";
import { switchTheme, theme } from "./theme.js";

let leaving = new AbortController();
let listening = null;

export function showShell() {
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const banner = h("p", { class: "banner", role: "status" });
  const screens = h("div", { class: "nav-screens" });
  const nav = h("nav", { class: "nav", id: "nav", "aria-label": "Screens" }, screens);
  const accountArea = h("div", { class: "account" });
  const menu = h(
    "button",
    {
      class: "button menu-button",
      "data-kind": "plain",
      type: "button",
      "aria-label": "Menu",
      "aria-expanded": "false",
      "aria-controls": "nav",
      onclick: () => toggleMenu(nav, menu),
    },
    icon("menu"),
  );
  const skip = h(
    "button",
    { class: "button skip", type: "button", onclick: () => main.focus() },
    "Skip to content",
  );
  replace(
    document.getElementById("app"),
    skip,
    h(
      "div",
      { class: "shell" },
      h(
        "header",
        { class: "top" },
        menu,
        h(
          "a",
          { class: "brand", href: "#/overview" },
          h("img", { src: "icon.svg", alt: "" }),
          "EdgeNeuro",
        ),
        accountArea,
      ),
      banner,
      nav,
      main,
    ),
  );
  const showCaller = () => {
    replace(screens, navigation());
    markCurrent(nav);
    replace(accountArea, account());
  };
  const open = () => {
    toggleMenu(nav, menu, false);
    openScreen(main, nav);
    main.focus({ preventScroll: true });
  };
  listening?.abort();
  listening = new AbortController();
  window.addEventListener("hashchange", open, { signal: listening.signal });
  window.addEventListener(SESSION_CHANGED, showCaller, { signal: listening.signal });
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape" && nav.dataset.open === "true") {
        toggleMenu(nav, menu, false);
        menu.focus();
      }
    },
    { signal: listening.signal },
  );
  listenForShortcuts(listening.signal);
  shortcuts(listening.signal, "Open a screen", screenShortcuts());
  shortcuts(listening.signal, "Everywhere", [
    { keys: ["?"], text: "Keyboard shortcuts", run: listShortcuts },
  ]);
  showCaller();
  openScreen(main, nav);
  showSchema(banner, listening.signal);
}

async function listShortcuts() {
  const { showShortcuts } = await import("./parts/shortcuts_list.js");
  showShortcuts();
}

/** Closes the screen and cancels its requests. */
export function closeShell() {
  leaveScreen();
  listening?.abort();
}

function leaveScreen() {
  leaving.abort(new DOMException("The screen was closed.", "AbortError"));
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

function account() {
  const themeButton = h(
    "button",
    {
      class: "button",
      "data-kind": "plain",
      type: "button",
      onclick: () => {
        switchTheme();
        showTheme();
      },
    },
    icon("theme"),
  );
  const showTheme = () => {
    themeButton.setAttribute("aria-label", `Theme: ${theme()}`);
    themeButton.title = `Theme: ${theme()}`;
  };
  showTheme();
  return [
    h(
      "span",
      { class: "account-name", title: session.caller.id },
      session.caller.email ?? session.caller.id,
    ),
    themeButton,
    session.key
      ? h(
          "button",
          { class: "button", "data-size": "small", type: "button", onclick: () => signOut() },
          "Sign out",
        )
      : null,
  ];
}

function toggleMenu(nav, menu, open = nav.dataset.open !== "true") {
  nav.dataset.open = String(open);
  menu.setAttribute("aria-expanded", String(open));
}

/** Loads a screen when it is first opened; `signal` cancels its requests when it is left. */
async function openScreen(main, nav) {
  leaveScreen();
  leaving = new AbortController();
  const { signal } = leaving;
  const route = currentRoute(firstScreen());
  const known = BY_NAME.get(route.screen);
  markCurrent(nav);
  const root = h("div", { class: "stack" });
  replace(main, root);
  window.scrollTo(0, 0);
  if (!known) {
    document.title = "Not found · EdgeNeuro";
    replace(root, h("h1", {}, "Page not found"), h("a", { href: "#/overview" }, "Go to Overview"));
    return;
  }
  const [name, title, scope] = known;
  document.title = `${title} · EdgeNeuro`;
  if (!session.may(scope)) {
    replace(
      root,
      h("h1", {}, title),
      h(
        "p",
        {},
        `This screen needs the scope “${scope}”. Your key or role does not have it; ask an administrator.`,
      ),
    );
    return;
  }
  try {
    const screen = await loadScreen(name);
    if (signal.aborted) return;
    const may = (one) => session.may(one);
    await screen.open({ root, path: route.path, query: route.query, signal, may });
  } catch (error) {
    if (signal.aborted) return;
    const retry =
      error instanceof LoadError ? () => location.reload() : () => openScreen(main, nav);
    replace(root, h("h1", {}, title), errorPanel(error, retry));
    if (error.status === undefined) throw error; // a bug: show it in the console too
  }
}

/** A module that could not be loaded. Browsers cache the failure, so only a reload helps. */
class LoadError extends Error {
  status = 0;
}

async function loadScreen(name) {
  try {
    return await import(`./screens/${name}.js`);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new LoadError("This screen could not be loaded. Check the connection, then try again.");
  }
}
