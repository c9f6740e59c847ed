// Who is signed in. The key is kept for the browser session only, never in an address; another tab
// of this site that is signed in hands it over.

const ITEM = "edgeneuro.key";
const HAND_OVER_MS = 150;
export const SESSION_CHANGED = "edgeneuro:session";

const tabs = new BroadcastChannel("edgeneuro.session");

/** `caller` is the answer of GET /v1/me; `key` is null where Cloudflare Access lets the user in. */
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

/** `ask(error)` gets a new key from the user, and throws where there will be none. */
export function setSessionHandlers({ ask, signedOut }) {
  askForKey = ask;
  onSignOut = signedOut;
}

/** After a refusal of `usedKey`: once for all calls that wait. */
export async function renewSession(error, usedKey) {
  if (session.key !== usedKey) return; // another call has renewed it meanwhile
  if (askForKey === null || session.caller === null) throw error; // signed out meanwhile
  renewing ??= askForKey(error).finally(() => {
    renewing = null;
  });
  await renewing;
}

export function signOut({ everywhere = true } = {}) {
  forget();
  if (everywhere) tabs.postMessage({ type: "signed-out" });
  onSignOut();
}

function forget() {
  session.key = null;
  session.caller = null;
  sessionStorage.removeItem(ITEM);
}

/** The key of another tab, or null. */
export function keyOfAnotherTab() {
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
    setTimeout(() => done(null), HAND_OVER_MS);
  });
}

tabs.addEventListener("message", ({ data }) => {
  if (data.type === "key?" && session.key && session.caller) {
    tabs.postMessage({ type: "key", key: session.key });
  } else if (data.type === "signed-out") {
    signOut({ everywhere: false });
  }
});
