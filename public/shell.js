// What stands around every screen: navigation, account, and the screen that the address names.

import { h, icon, replace } from "./dom.js";
import { errorPanel } from "./parts/loading.js";
import { place } from "./router.js";
import { SESSION_CHANGED, session, signOut } from "./session.js";
import { switchTheme, theme } from "./theme.js";

/** By group: the screen's name in addresses, its title, and the scope that it needs. */
const SCREENS = [
  [
    "Watch",
    [
      ["overview", "Overview", "read"],
      ["analytics", "Analytics", "read"],
      ["logs", "Logs", "read"],
    ],
  ],
  [
    "Improve",
    [
      ["playground", "Playground", "route"],
      ["labelling", "Labelling", "label"],
      ["datasets", "Datasets", "read"],
      ["evaluations", "Evaluations", "read"],
      ["routing_tests", "Routing tests", "read"],
    ],
  ],
  [
    "Steer",
    [
      ["models", "Models", "read"],
      ["adapters", "Adapters", "read"],
      ["agents", "Agents", "read"],
      ["providers", "Providers", "admin"],
    ],
  ],
  [
    "Administer",
    [
      ["keys", "Keys and users", "admin"],
      ["settings", "Settings", "read"],
      ["audit", "Audit", "admin"],
    ],
  ],
];
const BY_NAME = new Map(
  SCREENS.flatMap(([, screens]) => screens.map((screen) => [screen[0], screen])),
);

let leaving = new AbortController();
let listening = null;

export function showShell() {
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const screens = h("div", { class: "nav-screens" });
  const nav = h("nav", { class: "nav", id: "nav", "aria-label": "Screens" }, screens);
  const who = h("div", { class: "account" });
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
        who,
      ),
      nav,
      main,
    ),
  );
  const showCaller = () => {
    replace(screens, navigation());
    markCurrent(nav);
    replace(who, account());
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
  showCaller();
  openScreen(main, nav);
}

/** Ends the screen and all that it has begun. */
export function closeShell() {
  leaveScreen();
  listening?.abort();
}

function leaveScreen() {
  leaving.abort(new DOMException("The screen was left.", "AbortError"));
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

function navigation() {
  return SCREENS.map(([group, screens]) => {
    const allowed = screens.filter(([, , scope]) => session.may(scope));
    if (!allowed.length) return null;
    return [
      h("h2", {}, group),
      h(
        "ul",
        {},
        allowed.map(([name, title]) =>
          h("li", {}, h("a", { href: `#/${name}`, "data-screen": name }, icon(name), title)),
        ),
      ),
    ];
  });
}

function markCurrent(nav) {
  const { screen } = place(firstScreen());
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.screen === screen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Where the address names no screen. */
const firstScreen = () => [...BY_NAME.values()].find(([, , scope]) => session.may(scope))?.[0];

function account() {
  const themeButton = h(
    "button",
    {
      class: "button",
      "data-kind": "plain",
      type: "button",
      onclick: () => {
        switchTheme();
        name();
      },
    },
    icon("theme"),
  );
  const name = () => {
    themeButton.setAttribute("aria-label", `Colours: ${theme()}`);
    themeButton.title = `Colours: ${theme()}`;
  };
  name();
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

/** Screens are loaded when they are first opened; `signal` ends what one has begun. */
async function openScreen(main, nav) {
  leaveScreen();
  leaving = new AbortController();
  const { signal } = leaving;
  const here = place(firstScreen());
  const known = BY_NAME.get(here.screen);
  markCurrent(nav);
  const root = h("div", { class: "stack" });
  replace(main, root);
  window.scrollTo(0, 0);
  if (!known) {
    document.title = "Not found · EdgeNeuro";
    replace(
      root,
      h("h1", {}, "There is no such screen"),
      h("a", { href: "#/overview" }, "To the overview"),
    );
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
        `This needs the scope “${scope}”, which your key or role does not include. Ask an administrator.`,
      ),
    );
    return;
  }
  try {
    const screen = await loadScreen(name);
    if (signal.aborted) return;
    const may = (one) => session.may(one);
    await screen.open({ root, path: here.path, query: here.query, signal, may });
  } catch (error) {
    if (signal.aborted) return;
    const retry =
      error instanceof LoadError ? () => location.reload() : () => openScreen(main, nav);
    replace(root, h("h1", {}, title), errorPanel(error, retry));
    if (error.status === undefined) throw error; // a fault of ours: to the console too
  }
}

/** A module that could not be loaded: the browser keeps that, so that only a reload helps. */
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
