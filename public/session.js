// The signed-in user. The key is stored for the browser session only, never in an address. A new
// tab gets it from another tab that is signed in.

const ITEM = "edgeneuro.key";
const OTHER_TAB_TIMEOUT_MS = 150;
/** In localStorage: what was opened lately with the command palette. */
export const RECENT_ITEM = "edgeneuro.recent";
export const SESSION_CHANGED = "edgeneuro:session";

const tabs = new BroadcastChannel("edgeneuro.session");

/** `caller` is the response of GET /v1/me; `key` is null for a user of Cloudflare Access. */
export const session = {
  key: sessionStorage.getItem(ITEM),
  caller: null,
  may(scope) {
    return this.caller?.scopes.includes(scope) ?? false;
  },
};

let renewing = null;
let askForKey = null;
let onSignOut = () => {};

export function keepSession(key, caller) {
  session.key = key;
  session.caller = caller;
  if (key) sessionStorage.setItem(ITEM, key);
  else sessionStorage.removeItem(ITEM);
  window.dispatchEvent(new Event(SESSION_CHANGED));
}

/** `ask(error)` gets a new key from the user; it throws if the user cancels. */
export function setSessionHandlers({ ask, signedOut }) {
  askForKey = ask;
  onSignOut = signedOut;
}

/** Asks for a new key after `usedKey` was refused; waiting calls share one dialog. */
export async function renewSession(error, usedKey) {
  if (session.key !== usedKey) return; // another call has already renewed it
  if (askForKey === null || session.caller === null) throw error; // already signed out
  renewing ??= askForKey(error).finally(() => {
    renewing = null;
  });
  await renewing;
}

export function signOut({ everywhere = true } = {}) {
  clear();
  if (everywhere) tabs.postMessage({ type: "signed-out" });
  onSignOut();
}

function clear() {
  session.key = null;
  session.caller = null;
  sessionStorage.removeItem(ITEM);
  localStorage.removeItem(RECENT_ITEM);
}

/** The key of another tab that is signed in, or null. */
export function keyFromOtherTab() {
  return new Promise((resolve) => {
    const settle = (event) => {
      if (event.data.type !== "key") return;
      done(event.data.key);
    };
    const done = (key) => {
      tabs.removeEventListener("message", settle);
      resolve(key);
    };
    tabs.addEventListener("message", settle);
    tabs.postMessage({ type: "key?" });
    setTimeout(() => done(null), OTHER_TAB_TIMEOUT_MS);
  });
}

tabs.addEventListener("message", ({ data }) => {
  if (data.type === "key?" && session.key && session.caller) {
    tabs.postMessage({ type: "key", key: session.key });
  } else if (data.type === "signed-out") {
    signOut({ everywhere: false });
  }
});
