// The screens: their menu, and which of them the caller may open.

import { h, icon } from "./dom.js";
import { currentRoute, go } from "./router.js";
import { session } from "./session.js";

/**
 * Menu groups: each screen's name in the address, its title, the scope that it needs, and the letter that
 * opens it after “G”.
 */
const SCREENS = [
  [
    "Monitor",
    [
      ["overview", "Overview", "read", "o"],
      ["analytics", "Analytics", "read", "y"],
      ["costs", "Costs", "read"],
      ["logs", "Logs", "read", "l"],
    ],
  ],
  [
    "Improve",
    [
      ["playground", "Playground", "route", "p"],
      ["labeling", "Labeling", "label", "b"],
      ["unmatched", "Unmatched", "read"],
      ["datasets", "Datasets", "read", "d"],
      ["evaluations", "Evaluations", "read", "e"],
      ["routing_tests", "Routing tests", "read"],
      ["replays", "What if", "read"],
    ],
  ],
  [
    "Configure",
    [
      ["models", "Models", "read", "m"],
      ["adapters", "Adapters", "read"],
      ["agents", "Agents", "read", "a"],
      ["routers", "Routers", "read"],
      ["rules", "Rules", "read", "r"],
      ["providers", "Providers", "admin"],
    ],
  ],
  [
    "Admin",
    [
      ["keys", "API keys & users", "admin", "k"],
      ["settings", "Settings", "read", "s"],
      ["webhooks", "Webhooks", "admin"],
      ["audit", "Audit log", "admin"],
    ],
  ],
];
/** The screens by their names. */
export const BY_NAME = new Map(
  SCREENS.flatMap(([, screens]) => screens.map((screen) => [screen[0], screen])),
);

export function navigation() {
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

export function markCurrent(nav) {
  const { screen } = currentRoute(firstScreen());
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.screen === screen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

export const mayOpen = (screen) => session.may(BY_NAME.get(screen)?.[2]);

/** The screen to open if the address names none. */
export const firstScreen = () =>
  [...BY_NAME.values()].find(([, , scope]) => session.may(scope))?.[0];

/** Shortcuts that open the screens which the caller may open. */
export const screenShortcuts = () =>
  [...BY_NAME.values()]
    .filter(([, , scope, letter]) => letter && session.may(scope))
    .map(([name, title, , letter]) => ({
      keys: [`g ${letter}`],
      text: title,
      run: () => go([name]),
    }));
