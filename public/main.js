// The start: who is it, then the screen that the address names.

import { identify } from "./api.js";
import { keepSession, keyOfAnotherTab, session, setSessionHandlers } from "./session.js";
import { closeShell, showShell } from "./shell.js";
import { askForKeyAgain, showSignIn } from "./sign_in.js";
import { applyTheme } from "./theme.js";

const NO_KEY = "invalid_api_key"; // its message says that a key is missing

applyTheme();
setSessionHandlers({
  ask: askForKeyAgain,
  signedOut() {
    closeShell();
    showSignIn(start);
  },
});
await start();

async function start() {
  if (session.caller === null) {
    const key = session.key ?? (await keyOfAnotherTab());
    try {
      await identifyWith(key);
    } catch (error) {
      // Without a key nothing is wrong yet; what Cloudflare Access says of a user is told.
      showSignIn(start, key === null && error.code === NO_KEY ? null : error);
      return;
    }
  }
  showShell();
}

/** By the key, and where that holds no more by Cloudflare Access, which may know the user. */
async function identifyWith(key) {
  try {
    keepSession(key, await identify(key));
  } catch (error) {
    if (key === null || error.status !== 401) throw error;
    const caller = await identify(null).catch(() => {
      throw error;
    });
    keepSession(null, caller);
  }
}
