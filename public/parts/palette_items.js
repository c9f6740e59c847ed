// What the command palette finds: screens, commands, what has a name, and ids that are pasted.

import { api, listAll } from "../api.js";
import { BY_NAME, mayOpen } from "../menu.js";
import { address } from "../router.js";
import { session } from "../session.js";
import { leave } from "./account.js";
import { readModels } from "./models.js";
import { showShortcuts } from "./shortcuts_list.js";

/** Tabs of screens: the screen, the path within it, the tab's title. */
const TABS = [
  ["playground", "many", "Many queries"],
  ["playground", "conversation", "Conversation"],
  ["playground", "outcomes", "Outcomes"],
  ["labeling", "random", "Random sample"],
  ["labeling", "bulk", "Bulk"],
  ["labeling", "disagreements", "Disagreements"],
  ["labeling", "labels", "All labels"],
  ["replays", "new", "New"],
  ["replays", "thresholds", "Thresholds"],
  ["models", "fallbacks", "Fallback models"],
  ["models", "classifier", "Classifier"],
  ["models", "challenger", "Challenger"],
  ["models", "history", "History"],
  ["keys", "users", "Users"],
  ["keys", "teams", "Teams"],
];

/** An item is {kind, title, words, href} or, for a command, {kind, title, run}. */
export function fixedItems() {
  const screens = [...BY_NAME.values()].map(([name, title]) => ({
    kind: "Screen",
    screen: name,
    title,
    href: address([name]),
  }));
  const tabs = TABS.map(([screen, path, title]) => ({
    kind: "Screen",
    screen,
    title: `${BY_NAME.get(screen)[1]}: ${title}`,
    href: address([screen, path]),
  }));
  const commands = [
    { kind: "Command", title: "Keyboard shortcuts", run: showShortcuts },
    session.key ? { kind: "Command", title: "Sign out", run: leave } : null,
  ];
  return [...[...screens, ...tabs].filter(({ screen }) => mayOpen(screen)), ...commands].filter(
    Boolean,
  );
}

/** Lists of named things: their kind, the screen that shows them, how to read them, its tab. */
const NAMED = [
  ["Agent", "agents", (signal) => listAll("/v1/agents", { signal })],
  ["Model", "models", (signal) => readModels(signal)],
  ["Router", "routers", (signal) => listAll("/v1/routers", { signal })],
  ["Rule", "rules", (signal) => listAll("/v1/rules", { signal })],
  ["API key", "keys", (signal) => listAll("/v1/keys", { signal })],
  ["User", "keys", (signal) => listAll("/v1/users", { signal }), "users"],
  ["Team", "keys", (signal) => listAll("/v1/teams", { signal }), "teams"],
  ["Provider", "providers", (signal) => listAll("/v1/providers", { signal })],
];
const WITH_PAGES = new Set(["agents", "models"]);

/** Reads each list that the caller may read; `add(items)` gets each as it arrives. */
export const readNamed = (signal, add) =>
  Promise.all(
    NAMED.filter(([, screen]) => mayOpen(screen)).map(async ([kind, screen, read, tab]) => {
      const all = await read(signal).catch(() => []); // the screen itself shows what is wrong
      add(
        all.map((each) => ({
          kind,
          title: each.name ?? each.email ?? each.id,
          words: [each.id, each.email, ...(each.aliases ?? [])].filter(Boolean).join(" "),
          href: address([screen, ...(WITH_PAGES.has(screen) ? [each.id] : tab ? [tab] : [])]),
        })),
      );
    }),
  );

/** What an id names by its prefix: the kind, and the place of its page. */
const BY_PREFIX = {
  dec: ["Request", "logs", (id) => ["logs", id]],
  eval: ["Evaluation", "evaluations", (id) => ["evaluations", id]],
  rtr: ["Test run", "routing_tests", (id) => ["routing_tests", id]],
  rpl: ["What if", "replays", (id) => ["replays", id]],
  lora: ["Adapter", "adapters", (id) => ["adapters", id]],
  clf: ["Classifier", "models", (id) => ["models", "classifier", id]],
  ucl: ["Clustering", "unmatched", () => ["unmatched"]],
  unm: ["Cluster", "unmatched", () => ["unmatched"]],
  imp: ["Import", "datasets", () => ["datasets"]],
  rul: ["Rule", "rules", () => ["rules"]],
  whk: ["Webhook", "webhooks", (id) => ["webhooks", id]],
  key: ["API key", "keys", () => ["keys"]],
  usr: ["User", "keys", () => ["keys", "users"]],
  team: ["Team", "keys", () => ["keys", "teams"]],
};
const ID = /^([a-z]+)_[A-Za-z0-9-]{8,}$/;
const MIN_SEARCH = 2;

/** Items for what is typed itself: the page of an id, and searches of the logs. */
export function typedItems(typed) {
  const text = typed.trim();
  const prefix = ID.exec(text)?.[1];
  const ids = [];
  if (prefix === "job" && session.may("read"))
    ids.push({ kind: "Job", title: text, find: (signal) => placeOfJob(text, signal) });
  const [kind, screen, place] = BY_PREFIX[prefix] ?? [];
  if (kind && mayOpen(screen)) ids.push({ kind, title: text, href: address(place(text)) });
  if (ids.length || text.length < MIN_SEARCH || !mayOpen("logs")) return { ids, searches: [] };
  const search = (title, query) => ({
    kind: "Logs",
    title: `${title} “${text}”`,
    href: address(["logs"], query),
  });
  const searches = [search("Requests with the words", { q: text })];
  if (!/\s/.test(text))
    searches.push(
      search("Requests of the session", { session: text }),
      search("Requests of the user", { user: text }),
    );
  return { ids, searches };
}

/** The place where the work of a job is shown. */
async function placeOfJob(id, signal) {
  const { resource_id: resource } = await api("GET", `/v1/jobs/${id}`, { signal });
  const [, , place] = BY_PREFIX[resource.split("_")[0]] ?? [];
  return address(place ? place(resource) : ["overview"]);
}
