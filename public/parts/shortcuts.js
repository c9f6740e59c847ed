// Keyboard shortcuts: screens declare theirs, one listener runs them, and “?” shows them all.
//
//   shortcuts(signal, "Logs", [
//     { keys: ["j", "ArrowDown"], text: "Next request", run: () => step(1), repeat: true },
//     { keys: ["Enter"], text: "Open the request", run: openRow },
//     { shown: "Ctrl+Enter", text: "Route the query" }, // the form itself handles it: only listed
//   ]);

const SEQUENCE_MS = 1500; // between the two keys of "g l"
const MAC = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform);
const ACTIVATED_BY_ENTER = "a, button, summary";

const groups = new Set();
let first = null; // the first key of a sequence that has begun: {key, at}, with the event's time

/**
 * Adds a group of shortcuts until `signal` is aborted: the signal of a screen is, when it is left. A
 * shortcut is {keys, text, run(key), shown, repeat, anywhere}. `keys` are names as in
 * KeyboardEvent.key, letters in lower case, with "mod+" for Ctrl or Cmd and "shift+" before them, or
 * two of them, one pressed after the other: "g l". `run` may return false if the key means nothing
 * now. `shown` is what the list shows, by default the keys. A key that is held down runs only a
 * shortcut with `repeat`. No shortcut runs while a dialog is open, and while somebody types only one
 * that may run `anywhere`. Of two with the same key the one added last runs.
 */
export function shortcuts(signal, title, list) {
  const group = { title, list };
  groups.add(group);
  signal.addEventListener("abort", () => groups.delete(group));
}

/** The groups that are in force, the one added last first. */
export const shortcutGroups = () => [...groups].reverse();

/** What a list shows for a shortcut, e.g. ["J", "↓"]. */
export const shownKeys = ({ shown, keys }) => (shown ? [shown].flat() : keys.map(keyName));

const NAMES = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", shift: "Shift" };
NAMES.mod = MAC ? "⌘" : "Ctrl";

/** "mod+k" as "Ctrl+K", "g l" as "G then L". */
export const keyName = (key) =>
  key
    .split(" ")
    .map((each) => each.split("+").map(partName).join("+"))
    .join(" then ");

const partName = (part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part);

/** Runs the shortcuts of all groups until `signal` is aborted. */
export function listenForShortcuts(signal) {
  document.addEventListener("keydown", onKey, { signal });
}

function onKey(event) {
  if (event.defaultPrevented || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, select, textarea") !== null;
  const names = namesOf(event);
  const shortcut = find(names, typing);
  first = null;
  if (!shortcut) {
    const key = names.at(-1);
    if (!typing && find([key], typing, begins)) first = { key, at: event.timeStamp };
    return;
  }
  if (event.repeat && !shortcut.repeat) return;
  if (event.key === "Enter" && event.target.closest(ACTIVATED_BY_ENTER)) return;
  if (shortcut.run(names.at(-1)) !== false) event.preventDefault();
}

/** What the shortcuts of this key may be named, the most exact name first. */
function namesOf({ key, ctrlKey, metaKey, shiftKey, timeStamp }) {
  const plain = key === " " ? "Space" : key.length === 1 ? key.toLowerCase() : key;
  if (ctrlKey || metaKey) return [`mod+${plain}`];
  const names = shiftKey ? [`shift+${plain}`, plain] : [plain];
  if (first !== null && timeStamp - first.at < SEQUENCE_MS) names.unshift(`${first.key} ${plain}`);
  return names;
}

const same = (key, name) => key === name;
const begins = (key, name) => key.startsWith(`${name} `);

/** The shortcut with one of these names, the first of them if there are several. */
function find(names, typing, matches = same) {
  const able = shortcutGroups()
    .flatMap(({ list }) => list)
    .filter(({ run, keys, anywhere }) => run && keys && (anywhere || !typing));
  for (const name of names) {
    const shortcut = able.find(({ keys }) => keys.some((key) => matches(key, name)));
    if (shortcut) return shortcut;
  }
  return null;
}
