// The frame of all screens: navigation, account menu, and the screen that the address names.

import { h, icon, replace } from "./dom.js";
import { BY_NAME, firstScreen, markCurrent, navigation, screenShortcuts } from "./menu.js";
import { account } from "./parts/account.js";
import { banners } from "./parts/banners.js";
import { button } from "./parts/controls.js";
import { docsAddress } from "./parts/docs.js";
import { idText } from "./parts/ids.js";
import { errorPanel } from "./parts/loading.js";
import { notice } from "./parts/notice.js";
import { keyName, listenForShortcuts, shortcuts } from "./parts/shortcuts.js";
import { guardInput, mayFollow } from "./parts/unsaved.js";
import { address, currentRoute } from "./router.js";
import { SESSION_CHANGED, session } from "./session.js";

const ID = /^[a-z]+_[A-Za-z0-9-]{8,}$/;

let leaving = new AbortController();
let shown = { name: null, page: null };
let listening = null;

export function showShell() {
  listening?.abort();
  listening = new AbortController();
  const { signal } = listening;
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const screens = h("div", { class: "nav-screens" });
  const nav = h("nav", { class: "nav", id: "nav", "aria-label": "Screens" }, screens);
  const accountArea = h("div", { class: "account" });
  const docs = h("a", { class: "docs-link", target: "_blank", rel: "noreferrer" }, "Docs");
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
  replace(
    document.getElementById("app"),
    h(
      "button",
      { class: "button skip", type: "button", onclick: () => main.focus() },
      "Skip to content",
    ),
    h(
      "div",
      { class: "shell" },
      h(
        "header",
        { class: "top" },
        menu,
        h(
          "a",
          { class: "brand", href: "#/" },
          h("img", { src: "icon.svg", alt: "" }),
          h("span", {}, "EdgeNeuro"),
        ),
        searchButton(),
        docs,
        accountArea,
      ),
      banners(signal),
      nav,
      main,
    ),
  );
  const showCaller = () => {
    replace(screens, navigation(), aboutVersion());
    markCurrent(nav);
    replace(accountArea, account());
  };
  const open = () => {
    toggleMenu(nav, menu, false);
    openScreen(main, nav, docs);
  };
  window.addEventListener(
    "hashchange",
    async (event) => {
      if (!(await mayFollow(event))) return;
      if (staysOpen()) {
        toggleMenu(nav, menu, false);
        return;
      }
      open();
      main.focus({ preventScroll: true });
    },
    { signal },
  );
  window.addEventListener(SESSION_CHANGED, showCaller, { signal });
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape" && nav.dataset.open === "true") {
        toggleMenu(nav, menu, false);
        menu.focus();
      }
    },
    { signal },
  );
  guardInput(signal);
  listenForShortcuts(signal);
  shortcuts(signal, "Open a screen", screenShortcuts());
  shortcuts(signal, "Everywhere", [
    { keys: [SEARCH], text: "Search everything", run: search, anywhere: true },
    { keys: ["?"], text: "Keyboard shortcuts", run: listShortcuts },
  ]);
  showCaller();
  open();
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

const SEARCH = "mod+k";

function searchButton() {
  const keys = keyName(SEARCH);
  return h(
    "button",
    {
      class: "button search-button",
      type: "button",
      title: `Search everything (${keys})`,
      onclick: () => search(),
    },
    icon("search"),
    h("span", {}, "Search", h("span", { class: "hidden-text" }, " everything")),
    h("kbd", {}, keys),
  );
}

/** Dialogs that are loaded when somebody wants them. */
async function search() {
  const part = await loadPart(() => import("./parts/palette.js"));
  part?.openPalette();
}

async function listShortcuts() {
  const part = await loadPart(() => import("./parts/shortcuts_list.js"));
  part?.showShortcuts();
}

async function loadPart(load) {
  try {
    const part = await load();
    return document.querySelector("dialog[open]") ? null : part; // another one was opened meanwhile
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    notice("This could not be loaded. Check the connection, then load the page again.");
    return null;
  }
}

const aboutVersion = () =>
  h(
    "div",
    { class: "nav-foot" },
    button("Keyboard shortcuts", listShortcuts, { size: "small", kind: "plain" }),
    h("p", { class: "help" }, `EdgeNeuro ${session.caller.version}`),
  );

function toggleMenu(nav, menu, open = nav.dataset.open !== "true") {
  nav.dataset.open = String(open);
  menu.setAttribute("aria-expanded", String(open));
}

/** Whether the open screen shows the new address itself: one that can sets `page.follow(route)`. */
function staysOpen() {
  const route = currentRoute(firstScreen());
  return shown.name === route.screen && shown.page?.follow?.(route) === true;
}

/** Loads a screen when it is first opened; `signal` cancels its requests when it is left. */
async function openScreen(main, nav, docs) {
  leaveScreen();
  shown = { name: null, page: null };
  leaving = new AbortController();
  const { signal } = leaving;
  const route = currentRoute(firstScreen());
  const known = BY_NAME.get(route.screen);
  markCurrent(nav);
  showDocs(docs, route.screen);
  const crumbs = h("div", {});
  const root = h("div", { class: "stack" });
  replace(main, crumbs, root);
  window.scrollTo(0, 0);
  if (!known) {
    setTitle("Not found");
    replace(root, h("h1", {}, "Page not found"), h("a", { href: "#/" }, "Go to the first page"));
    return;
  }
  const [name, title, scope] = known;
  setTitle(title);
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
  /** A page of one thing: what it is called, and the id that can be copied. */
  const detail = (thing, id = null) => {
    if (signal.aborted) return;
    setTitle(thing, title);
    replace(
      crumbs,
      breadcrumbs(title, address([name], Object.fromEntries(route.query)), thing, id),
    );
  };
  const id = route.path.at(-1);
  if (id && ID.test(id)) detail(id, id);
  try {
    const screen = await loadScreen(name);
    if (signal.aborted) return;
    const page = {
      root,
      path: route.path,
      query: route.query,
      signal,
      may: (one) => session.may(one),
      detail,
      setTab: (tab) => setTitle(tab, title),
    };
    shown = { name, page };
    await screen.open(page);
  } catch (error) {
    if (signal.aborted) return;
    const retry =
      error instanceof LoadError ? () => location.reload() : () => openScreen(main, nav, docs);
    replace(root, h("h1", {}, title), errorPanel(error, retry));
    if (error.status === undefined) throw error; // a bug: show it in the console too
  }
}

function setTitle(...parts) {
  document.title = [...parts, "EdgeNeuro"].join(" · ");
}

const breadcrumbs = (title, href, thing, id) =>
  h(
    "nav",
    { class: "crumbs", "aria-label": "Breadcrumbs" },
    h(
      "ol",
      {},
      h("li", {}, h("a", { href }, title)),
      thing === id
        ? null
        : h("li", { "aria-current": "page" }, h("span", { class: "wrap" }, thing)),
      id === null ? null : h("li", { "aria-current": thing === id ? "page" : null }, idText(id)),
    ),
  );

function showDocs(link, screen) {
  const href = docsAddress(screen, session.caller.version);
  link.hidden = href === null;
  if (href) link.setAttribute("href", href);
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
